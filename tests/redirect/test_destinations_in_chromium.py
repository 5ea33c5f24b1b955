"""An independent reader: what Chromium's URL parser makes of every destination that we accept, and of its spelling."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.core.spellings import read_spellings, verdict

from .snippet.browser import Visitor

#: What is slipped into accepted destinations, at every place.
MARKS = (
    *"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\t\n\r\0 \x7f\xad\xb7\u2024\u2044\u2215\u3002\u3164\u200b\u202e\uff0e\uff0f\uff1a\uff20\uff61\uff3c\ufe0f\u0430\u0301",
    "//", "..", "/../", "@evil.example", ".evil.example", "evil.example/", "%2f", "%2e", "%5c", "%00", "%0d%0a", "%40", "xn--", "0x7f.1", "[::1]", ":80", ":443@", "\\@",
)  # fmt: skip
PLAIN = ("https://shop.example/p", "https://a.wide.example:443?q#f", "http://[::1]:9000/", "http://127.0.0.1:9000/p")
_PAGE = """<!doctype html><meta charset="utf-8"><pre id="out"></pre><script>
document.getElementById("out").textContent = JSON.stringify(%s.map(function (url) {
  try { var u = new URL(url); return [u.protocol, u.host, u.username + u.password, u.href] } catch (e) { return null }
}))</script>"""


def accepted() -> dict[str, str]:
    """Spelling -> normal form, of everything in the table and everything slipped in that passes."""
    tried = [spelling for rows in read_spellings().values() for spelling, _ in rows]
    tried += [url[:at] + mark + url[at:] for url in PLAIN for at in range(len(url) + 1) for mark in MARKS]
    verdicts = {spelling: verdict(spelling) for spelling in tried}
    return {spelling: found for spelling, found in verdicts.items() if found.startswith("http")}


def in_chromium(urls: list[str], folder: Path, visitor: Visitor) -> list[Any]:
    """(protocol, host, credentials, href) of each URL, None where the browser refuses it."""
    page = folder / "urls.html"
    page.write_text(_PAGE % json.dumps(urls).replace("<", "\\u003c"), "utf-8")
    found: list[Any] = json.loads(visitor.page(page.as_uri()).run("document.getElementById('out').textContent"))
    return found


def test_chromium_goes_to_the_host_that_was_checked(tmp_path: Path, visitor: Visitor) -> None:
    forms = accepted()
    assert len(forms) > 700
    spellings = list(forms)
    answers = in_chromium([*forms.values(), *spellings], tmp_path, visitor)
    for spelling, rendered, as_written in zip(spellings, answers, answers[len(spellings) :], strict=False):
        form = forms[spelling]
        parts = urlsplit(form)
        assert rendered[:3] == [f"{parts.scheme}:", parts.netloc, ""]
        assert rendered[3].replace("%27", "'") == form.replace("%27", "'"), "nothing is left for the browser to repair"
        if as_written is not None:
            # A trailing dot names the same host; browsers keep it.
            as_written[1] = re.sub(r"\.(?=:|$)", "", as_written[1])
            assert as_written[:3] == rendered[:3], f"{spelling!r} is another place to a browser"
