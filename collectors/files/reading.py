"""How the cells of a file are to be understood: decimal comma, date format, time zone, and what no column says.

Everything here turns a cell into what the API's bodies expect (design §9): a decimal with a point, RFC 3339 with a zone. What cannot be
one is left as it is written, and the body's own check refuses it by its name; only what could be read as another number is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec

from core.clock import to_rfc3339
from core.errors import Invalid
from core.identity import is_qualified
from core.zones import day_bucket, instant

Decimal = Literal["", ".", ","]
#: A whole local day, in the place of `bucket` and `bucket_s`.
DAY: Final = "day"
#: A day of the calendar, nobody's in particular.
DATE: Final = "date"

_NUMBER: Final[Mapping[Decimal, re.Pattern[str]]] = {
    ",": re.compile(r"^[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?$"),
    ".": re.compile(r"^[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?$"),
}
#: Blanks that people and spreadsheets put between thousands.
_BLANKS: Final = str.maketrans("", "", " '\u00a0\u202f\u2009")


class Reading(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the caller says about a file.

    Args:
        renames: their column -> our field; an empty name leaves the column out.
        constants: our field -> what every row has that says nothing of its own.
        decimal: "" = as the API wants it; "," or "." = with thousands separators of the other kind, too.
        date_format: as `strptime` has it, for times and days; "" = ISO 8601.
        zone: IANA zone of times without one; "" = the account's (`zones`), else they are refused.
        zones: "<platform>:<account>" -> IANA zone, from the settings.
        delimiter: of a CSV; "" = comma, semicolon or tab, whichever the header has most of.
    """

    renames: Mapping[str, str] = {}
    constants: Mapping[str, str] = {}
    decimal: Decimal = ""
    date_format: str = ""
    zone: str = ""
    zones: Mapping[str, str] = {}
    delimiter: str = ""

    def number(self, text: str, name: str) -> str:
        """A number as people write it with a point and nothing between its thousands.

        Raises:
            Invalid: `bad_value`, it is none in this notation: 1.5 where a comma is the decimal sign might mean 15.
        """
        plain = text.translate(_BLANKS)
        pattern = _NUMBER.get(self.decimal)
        if pattern is None:
            return text
        if not pattern.match(plain):
            example = "1.234,56" if self.decimal == "," else "1,234.56"
            raise Invalid("bad_value", f"{name}: {text!r} is not a number such as {example}")
        return plain.replace("." if self.decimal == "," else ",", "").replace(",", ".")

    def time(self, text: str, row: Mapping[str, object]) -> str:
        """A time as RFC 3339 with a zone; what is no time stays as it is."""
        if not self.date_format and text.endswith("Z"):
            return text
        moment = _parse(text, self.date_format)
        if moment is None:
            return text
        if moment.tzinfo is not None:
            return moment.isoformat() if self.date_format else text
        zone = self.zone_of(row)
        return text if zone is None else to_rfc3339(instant(moment, zone=zone))

    def day(self, text: str, row: Mapping[str, object]) -> dict[str, str]:
        """`bucket` and `bucket_s` of a local day: 23, 24 or 25 hours.

        Raises:
            Invalid: `bad_value`, it is no day; `missing_field`, nothing says whose day.
        """
        moment = _parse(text, self.date_format)
        if moment is None:
            form = self.date_format or "2026-11-20"
            raise Invalid("bad_value", f"{DAY}: {text!r} is not a day such as {form}")
        zone = self.zone_of(row)
        if zone is None:
            raise Invalid("missing_field", f"{DAY}: say in which zone (--timezone, or `timezone` of the account)")
        found = day_bucket(moment.date(), zone=zone)
        return {"bucket": to_rfc3339(found.start), "bucket_s": str(found.length_s)}

    def date(self, text: str) -> str:
        """A day of the calendar as ISO 8601; what is no day stays as it is."""
        moment = _parse(text, self.date_format)
        return text if moment is None else moment.date().isoformat()

    def zone_of(self, row: Mapping[str, object]) -> ZoneInfo | None:
        """The zone of a row's times: what the caller says, else what the settings say of its account."""
        return _zone(self.zone or self.zones.get(_account(row), ""))


def is_time(name: str) -> bool:
    """Whether a field of the bodies is a point in time."""
    return name in ("ts", "bucket", "launched", "known_at")


def _account(row: Mapping[str, Any]) -> str:
    campaign = str(row.get("campaign", ""))
    if is_qualified(campaign):
        return campaign.rpartition(":")[0]
    return f"{row.get('platform', '')}:{row.get('account', '')}"


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo | None:
    return ZoneInfo(name) if name else None


@lru_cache(maxsize=65_536)
def _parse(text: str, form: str) -> datetime | None:
    """Files have few distinct days and many rows; the cache spares `strptime`, which costs as much as all the rest of a row."""
    try:
        return datetime.strptime(text.strip(), form) if form else datetime.fromisoformat(text.strip())  # noqa: DTZ007 - the zone is told apart
    except (ValueError, OverflowError):
        return None
