"""What the file formats of links share: the fields, and a line as it was read."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from core.errors import Invalid
from core.near import nearest
from redirect.links.model import LinkDefinition

FIELDS: Final = LinkDefinition.__struct_fields__
#: What a link as answered by the API has besides its definition: understood in a file, and left alone.
READ_ONLY: Final = frozenset(("link_id", "version", "updated_at", "short_url", "tracking_template"))


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One link of a file: what it says, or why it cannot be read."""

    number: int
    values: dict[str, Any] = {}
    problem: Invalid | None = None


def no_field(name: str) -> str:
    """What to say of a column or a key that no link has."""
    ours = nearest(name, FIELDS) or "ours"
    mend = f"name our field with map={name}={ours} (in the command --map), or leave it out with map={name}="
    return f"{name!r} is no field of a link: {mend}"


def decoded(name: str, text: str) -> Any:
    """JSON of a field or a whole link; Invalid names it."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
        raise Invalid(name, f"this is not JSON: {error}") from None
