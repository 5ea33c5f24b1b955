"""What figures can be told by: the closed list of dimensions, and how each is read from a hit, a conversion's match and a platform's spend.

A value of "" means that the row itself names none (`NONE` to people). Spend that the platform does not tell by a dimension belongs to none
of its values: it is a row of its own, `NOT_TOLD`, and is never spread silently.
"""

from __future__ import annotations

from typing import Final

import msgspec

from core.errors import Invalid

#: The value of spend that the platform does not tell by the dimension.
NOT_TOLD: Final = "(not told)"
#: How people read the value "".
NONE: Final = "(none)"


class Dimension(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell figures by. `hit`, `match` and `spend` are columns; spend "" = no platform tells its spend by it.

    `hit_lookup` and `match_lookup` name the file under `sql/` whose join brings the column, "" = it is the row's own. The rows that it
    joins must be called `hit` and `match`. A row without a client of its own belongs to its campaign's, for hits, matches and spend alike.
    """

    name: str
    title: str
    hit: str
    match: str
    spend: str = ""
    hit_lookup: str = ""
    match_lookup: str = ""

    def read_from(self, rows: str) -> tuple[str, str]:
        """The expression of the value in rows called `hit`, `match` or `spend`, and the lookup that it needs."""
        column, lookup = {
            "hit": (self.hit, self.hit_lookup),
            "match": (self.match, self.match_lookup),
            "spend": (self.spend, ""),
        }[rows]
        if not column:
            return "''", ""
        return column if lookup else f"{rows}.{column}", lookup


def _own(name: str, title: str, *, spend: str = "") -> Dimension:
    """A dimension that hit and match carry themselves."""
    return Dimension(name=name, title=title, hit=name, match=name, spend=spend)


CAMPAIGN: Final = _own("campaign", "campaign", spend="campaign")
PAGE: Final = _own("page", "landing page")
CLIENT: Final = _own("client", "client", spend="campaign")
#: In the order in which people are offered them.
DIMENSIONS: Final[dict[str, Dimension]] = {
    dimension.name: dimension
    for dimension in (
        CAMPAIGN,
        _own("ad_group", "ad group", spend="ad_group"),
        _own("creative", "creative", spend="creative"),
        _own("keyword", "keyword", spend="keyword"),
        Dimension(
            name="device",
            title="device",
            hit="agent_device",
            match="device",
            spend="device",
            hit_lookup="device_of_hit",
        ),
        PAGE,
        Dimension(
            name="country",
            title="country",
            hit="network_country",
            match="network_country",
            hit_lookup="country_of_hit",
            match_lookup="country_of_match",
        ),
        _own("variant", "variant"),
        CLIENT,
    )
}


def dimension(name: str) -> Dimension:
    """The dimension of that name, `CAMPAIGN` for "".

    Raises:
        Invalid: `bad_dimension`.
    """
    if name and name not in DIMENSIONS:
        raise Invalid("bad_dimension", f"by: {name!r} is none of {', '.join(DIMENSIONS)}")
    return DIMENSIONS[name or CAMPAIGN.name]
