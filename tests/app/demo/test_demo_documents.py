"""What the documents tell a customer to add is what the demo's shop runs, and it derives the same click IDs as the product."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from app.demo.click_id_middleware import click_id_of
from app.demo.past_facts import BOUNDS_S
from core.identity import derive_from_query
from core.records import DURATION_BOUNDS_S

ROOT = Path(__file__).parents[3]


def identity_vectors() -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((ROOT / "tests" / "vectors" / "identity.json").read_text("utf-8"))[
        "vectors"
    ]
    return loaded


def test_the_middleware_in_the_document_is_the_one_the_shop_runs() -> None:
    source = (ROOT / "app" / "demo" / "click_id_middleware.py").read_text("utf-8")
    code = source[source.index("from __future__") :]
    assert f"```python\n{code}```" in (ROOT / "docs" / "instrumenting.md").read_text("utf-8")


def run_node(folder: Path, script: str) -> Any:
    """What a script prints as JSON; `./middleware` is the document's Node code, OpenTelemetry is told to `globalThis.span`."""
    text = (ROOT / "docs" / "instrumenting.md").read_text("utf-8")
    (folder / "middleware.js").write_text(text.split("```js\n")[1].split("```")[0], "utf-8")
    api = folder / "node_modules" / "@opentelemetry" / "api"
    api.mkdir(parents=True)
    (api / "index.js").write_text("exports.trace = {getActiveSpan: () => globalThis.span};", "utf-8")
    node = shutil.which("node")
    assert node, "install it: apt-get install nodejs (make test does)"
    run = subprocess.run([node, "-e", script], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_every_vector_of_the_identity_file_holds_for_the_node_middleware(tmp_path: Path) -> None:
    vectors = [vector for vector in identity_vectors() if "ct_click" not in vector["query"]]
    (tmp_path / "queries.json").write_text(json.dumps([vector["query"] for vector in vectors]), "utf-8")
    script = """const {clickIdOf} = require("./middleware");
    console.log(JSON.stringify(require("./queries.json").map(query => clickIdOf(query, ""))))"""
    got = dict(zip((vector["title"] for vector in vectors), run_node(tmp_path, script), strict=True))
    assert got == {vector["title"]: vector["click_id"] or "" for vector in vectors}


def test_the_node_middleware_names_the_click_of_a_request(tmp_path: Path) -> None:
    here, kept = "a" * 32, "b" * 32
    script = f"""const {{clickIdMiddleware}} = require("./middleware"), said = [];
    globalThis.span = {{setAttribute: (name, value) => said.push([name, value])}};
    const call = (url, cookie) => clickIdMiddleware({{url, headers: {{cookie}}}}, {{}}, () => said.push("next"));
    call("/p?a=1&ct_click={here}", "ct_click={kept}"); call("/p", "other=1; ct_click={kept}"); call("/p?x", undefined);
    globalThis.span = undefined; call("/p?ct_click={here}", "");
    console.log(JSON.stringify(said))"""
    said = ["clicktrace.click_id", here], ["clicktrace.click_id", kept]
    assert run_node(tmp_path, script) == [said[0], "next", said[1], "next", "next", "next"]


@pytest.mark.parametrize(
    "query",
    [
        "gclid=CjwKCAiA-b_C%2Bd&utm_source=google",
        "msclkid=abc&gclid=first-in-order",
        "fbclid=IwZX+h0%bgNhZW0%",
        "gclid=%7Bgclid%7D&fbclid=real",
        "gclid=&ttclid=t1",
        "gclid=" + "x" * 513 + "&twclid=short",
        "utm_source=none",
    ],
)
def test_the_middleware_derives_the_click_id_as_the_product_does(query: str) -> None:
    derived = derive_from_query(query.encode())
    assert click_id_of(query, "") == (derived[0] if derived else "")


def test_the_parameter_outweighs_the_cookie_and_the_cookie_is_used_without_one() -> None:
    here, kept = "a" * 32, "b" * 32
    assert click_id_of(f"ct_click={here}", f"ct_click={kept}") == here
    assert click_id_of("", f"other=1; ct_click={kept}") == kept
    assert click_id_of("", "") == ""


def test_the_histogram_of_the_past_has_the_bounds_of_the_present() -> None:
    assert BOUNDS_S == DURATION_BOUNDS_S


def test_every_vector_of_the_identity_file_holds_for_the_middleware() -> None:
    assert identity_vectors()
    for vector in identity_vectors():
        if "ct_click" not in vector["query"]:
            assert click_id_of(vector["query"], "") == (vector["click_id"] or ""), vector["title"]
