"""Hypothesis strategies: any link that the rules allow, with texts that files like to lose."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from core.destinations import AllowList
from redirect.links.model import LinkDefinition, checked
from redirect.links.routing import Rule, Variant, When

ALLOWED = AllowList(["shop.example"])

_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,9}", fullmatch=True)
_paths = st.text("abc=+-@'\"%,; äß/?&", max_size=12).map(lambda path: "".join(path.split()))
destinations = _paths.map(lambda path: f"https://shop.example/{path}")
#: What a note may say: quotes, separators, line breaks, formulas, apostrophes in front of formulas, other scripts.
notes = st.text(
    st.one_of(st.sampled_from("'=+-@\"\t\n,; ＝[{"), st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))),
    max_size=20,
)
tags = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters=","), min_size=1, max_size=8
)
variants = st.builds(Variant, name=_names, destination=destinations, weight=st.integers(1, 9))
whens = st.builds(
    When,
    device=st.just(("mobile",)),
    country=st.lists(st.sampled_from(("DE", "AT")), max_size=2).map(tuple),
    query=st.dictionaries(st.text("ab=\"',", min_size=1, max_size=3), st.just("*"), max_size=2),
    hours=st.sampled_from(("", "22:00-06:00")),
    zone=st.sampled_from(("UTC", "Europe/Vienna")),
)
rules = st.builds(Rule, name=_names, when=whens, destination=destinations)


def _unique(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(parts, max_size=2, unique_by=lambda part: part.name).map(tuple)


_values = st.fixed_dictionaries(
    {"slug": st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._~-]{0,12}", fullmatch=True), "destination": destinations},
    optional={
        "domain": st.sampled_from(("go.example", "xn--mnchen-3ya.example:8443")),
        "platform": st.sampled_from(("google", "meta", "other")),
        "account": st.text("0123456789-=", max_size=8),
        "ad_group": st.just("google:1:3"),
        "tags": st.lists(tags.filter(lambda tag: not tag[0].isspace()), max_size=3).map(tuple),
        "client": st.sampled_from(("acme", "=other", "'quoted")),
        "note": notes,
        "disabled": st.booleans(),
        "parallel_tracking": st.booleans(),
        "answer": st.sampled_from(("redirect", "unavailable")),
        "pass_personal": st.booleans(),
        "rules": _unique(rules),
        "variants": _unique(variants),
        "status": st.sampled_from((301, 302, 307)),
        "starts": st.just("2026-11-20T10:00:00Z"),
        "expires": st.just("2026-12-20T10:00:00+01:00"),
        "max_clicks": st.integers(0, 10**12),
        "fallback": destinations,
        "sign": st.sampled_from(("", "campaign")),
        "campaign": st.just("google:1:2"),
        "creative": st.just("google:1:4"),
    },
)


def _valid(values: dict[str, Any]) -> LinkDefinition:
    platform = {"platform": "google"} if "campaign" in values else {}
    return checked(LinkDefinition(**values | platform), allowed=ALLOWED)


links = _values.map(_valid)
many_links = st.lists(links, max_size=6, unique_by=lambda link: (link.slug, link.domain))
