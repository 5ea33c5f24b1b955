"""Lines of older schema versions in today's words, so that a journal is read, shipped and rebuilt across releases.

A change that today's reader would refuse or misread in an old line (a field that is required now, one renamed, another unit) gets a new
`core.records.SCHEMA_VERSION` and a step here; one that only adds a field with a default needs neither. Lines are never rewritten: they keep
their bytes and offsets in the segment, and are brought up to date each time they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from core.errors import Invalid
from core.records import SCHEMA_VERSION

Fields = dict[str, object]
Step = Callable[[Fields], Fields]

_DAY_S: Final = 86_400


def _a_platform_click_happened_within_its_day(fields: Fields) -> Fields:
    """2026-11-20: `platform_click` got `bucket_s`, required. Until then `ts` was the begin of the day that the platform reported."""
    return {**fields, "bucket_s": fields.get("bucket_s", _DAY_S)} if fields.get("kind") == "platform_click" else fields


#: From version N to N + 1. A step takes lines of every kind, may not fail on any, and leaves `kind` first, where the shipper reads it.
STEPS: Final[Mapping[int, Step]] = {1: _a_platform_click_happened_within_its_day}


def upcast(line: bytes, *, version: int) -> bytes:
    """A line of an older schema version in today's words, with today's version in its envelope.

    Raises:
        Invalid: reason ``unknown_version``.
        msgspec.DecodeError: it is no JSON object.
    """
    if version == SCHEMA_VERSION:
        return line
    if version > SCHEMA_VERSION or version not in STEPS:
        known = f"{min(STEPS)} to {SCHEMA_VERSION}"
        raise Invalid("unknown_version", f"schema version {version} is not known; this release reads {known}")
    fields = msgspec.json.decode(line, type=Fields)
    for step in range(version, SCHEMA_VERSION):
        fields = STEPS[step](fields)
    return msgspec.json.encode({**fields, "v": SCHEMA_VERSION})
