"""What the bench of the redirect measures: kinds of requests, and what each must reach beside nginx."""

from __future__ import annotations

import random
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from redirect.links.model import LinkDefinition
from redirect.links.routing import Rule, Variant, When

DESTINATION: Final = "https://shop.example/landing?season=spring"
_AGENT: Final = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)
#: What a browser sends when somebody follows a link, without Host.
BROWSER: Final[Mapping[str, str]] = {
    "User-Agent": _AGENT,
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br",
    "Accept-Language": "en-GB,en;q=0.9",
    "Referer": "https://www.search.example/",
    "Cache-Control": "max-age=0",
    "DNT": "1",
    "Priority": "u=0, i",
    "Sec-CH-UA-Mobile": "?1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "cross-site",
    "Upgrade-Insecure-Requests": "1",
}
_TRACKED: Final = "?gclid=CjwKCAiA0bWvBhBjEiwAtEsoW7&utm_source=google&utm_campaign=spring&ct_campaign=google:1:2"
_DIFFERENT_REQUESTS: Final = 5000


class Required(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds; None = not asked. `ratio` is requests a second over nginx's, the others are upper bounds."""

    ratio: float | None = None
    cpu_ratio: float | None = None
    p99_ratio: float | None = None
    p99_ms: float | None = None


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of request. `settings` are the worker's; a case with `same_as` is compared with nginx's figures of that case."""

    name: str
    what: str
    slug: str = "spring"
    query: str = ""
    headers: Mapping[str, str] = {}
    varied: bool = False
    settings: Mapping[str, object] = {}
    same_as: str = ""
    required: Required = Required()


CASES: Final = (
    Case(name="bare", what="no headers"),
    Case(
        name="browser", what="a browser's headers, plain link", headers=BROWSER,
        required=Required(ratio=0.65, cpu_ratio=1.7, p99_ratio=1.5),
    ),
    Case(name="varied", what="5,000 different browsers, each with its cookie", headers=BROWSER, varied=True),
    Case(name="tracked", what="gclid, utm and campaign parameters", headers=BROWSER, query=_TRACKED),
    Case(
        name="conditions", what="a link with device, country and weight conditions", slug="routed", headers=BROWSER, same_as="browser",
        required=Required(ratio=0.5),
    ),
    Case(
        name="new", what="a new connection per request", headers={**BROWSER, "Connection": "close"},
        required=Required(cpu_ratio=1.6),
    ),
    Case(
        name="fsync", what="answer after fsync", headers=BROWSER, settings={"answer_after_fsync": True}, same_as="browser",
        required=Required(ratio=0.2, p99_ms=10.0),
    ),
)  # fmt: skip

LINKS: Final = (
    LinkDefinition(slug="spring", destination=DESTINATION, platform="google", campaign="google:1:2"),
    LinkDefinition(
        slug="routed",
        destination=DESTINATION,
        platform="google",
        campaign="google:1:2",
        rules=(
            Rule(name="tablets", when=When(device=("tablet",)), destination="https://shop.example/tablet"),
            Rule(name="far", when=When(country=("NZ",)), destination="https://shop.example/nz"),
            Rule(
                name="phones",
                when=When(device=("mobile",), country=("GB", "IE")),
                variants=(
                    Variant(name="a", destination="https://shop.example/a", weight=3),
                    Variant(name="b", destination="https://shop.example/b", weight=1),
                ),
            ),
        ),
    ),
)


def country_database(folder: Path) -> Path | None:
    """A database in which loopback is in Great Britain; None where the package that writes such files is not installed."""
    try:
        from mmdb_writer import MMDBWriter  # of the development environment
        from netaddr import IPSet  # type: ignore[import-untyped]  # as above
    except ImportError:
        return None
    path = folder / "countries.mmdb"
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Country")
    writer.insert_network(IPSet(["127.0.0.0/8"]), {"country": {"iso_code": "GB"}})
    writer.to_db_file(str(path))
    return path


def script(case: Case, path: Path) -> Path:
    """A program for wrk that sends different requests in turn: other browsers, and a cookie of its own in each."""
    chance = random.Random(1)
    requests = [_different(case, chance) for _ in range(_DIFFERENT_REQUESTS)]
    listed = ",\n".join(
        '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\r\n", "\\r\\n") + '"' for text in requests
    )
    path.write_text(
        f"local requests = {{\n{listed}\n}}\nlocal at = 0\n"
        "request = function()\n  at = at % #requests + 1\n  return requests[at]\nend\n"
    )  # fmt: skip
    return path


def _different(case: Case, chance: random.Random) -> str:
    system = chance.choice(("Windows NT 10.0; Win64; x64", "Linux; Android 10; K", "Macintosh; Intel Mac OS X 10_15_7"))
    version = f"{chance.randrange(100, 130)}.0.0.0"  # browsers no longer say more
    headers = {
        **case.headers,
        "Host": "go.example",
        "User-Agent": f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version} Safari/537.36",
        "Accept-Language": f"{chance.choice(('en-GB', 'de-DE', 'fr-FR'))},en;q=0.{chance.randrange(1, 10)}",
        "Cookie": f"theme=dark; ct_vid={secrets.token_hex(16)}",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET /{case.slug}{case.query} HTTP/1.1\r\n{lines}\r\n"
