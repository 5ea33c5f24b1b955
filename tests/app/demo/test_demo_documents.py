"""What the documents tell a customer to add is what the demo's shop runs, and it derives the same click IDs as the product."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.demo.click_id_middleware import click_id_of
from app.demo.past_facts import BOUNDS_S
from core.identity import derive_from_query
from core.records import DURATION_BOUNDS_S

ROOT = Path(__file__).parents[3]


def test_the_middleware_in_the_document_is_the_one_the_shop_runs() -> None:
    source = (ROOT / "app" / "demo" / "click_id_middleware.py").read_text("utf-8")
    code = source[source.index("from __future__") :]
    assert f"```python\n{code}```" in (ROOT / "docs" / "instrumenting.md").read_text("utf-8")


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
    vectors = json.loads((ROOT / "tests" / "vectors" / "identity.json").read_text("utf-8"))["vectors"]
    assert vectors
    for vector in vectors:
        if "ct_click" not in vector["query"]:
            assert click_id_of(vector["query"], "") == (vector["click_id"] or ""), vector["title"]
