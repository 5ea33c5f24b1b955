"""How figures leave the correlator: amounts as decimal text, instants as RFC 3339, pages by cursor.

Inside, amounts are integer micros in fields named `…_micros` and instants integer ms in fields named `…_ms`; `present` turns both into
what the API promises (design §9) and drops the suffix.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from core.clock import to_rfc3339
from core.errors import Invalid
from core.money import to_decimal

Row = TypeVar("Row")


def present(value: object) -> Any:
    """A struct (or list of them) as JSON-ready builtins: `cost_micros: 59900000` -> `cost: "59.90"`, `seen_ms` -> RFC 3339."""
    return _present(msgspec.to_builtins(value))


def _present(value: Any) -> Any:
    if isinstance(value, dict):
        return dict(_field(str(name), content) for name, content in value.items())
    if isinstance(value, list | tuple):
        return [_present(item) for item in value]
    return value


def _field(name: str, content: Any) -> tuple[str, Any]:
    if name.endswith("_micros"):
        return name.removesuffix("_micros"), _each(content, to_decimal)
    if name.endswith("_ms"):
        # 0 is "never": the epoch is nobody's event.
        return name.removesuffix("_ms"), _each(content, lambda ms: to_rfc3339(ms) if ms else None)
    return name, _present(content)


def _each(content: Any, turn: Callable[[int], Any]) -> Any:
    if isinstance(content, dict):
        return {key: turn(amount) for key, amount in content.items()}
    return None if content is None else turn(content)


def page(rows: Sequence[Row], *, key: Callable[[Row], str], cursor: str, limit: int) -> tuple[list[Row], str | None]:
    """The rows after `cursor` in the order of their keys, at most `limit`, and the cursor of the next page.

    Raises:
        Invalid: `bad_cursor`.
    """
    after = read_cursor(cursor) if cursor else ""
    rest = sorted((row for row in rows if not cursor or key(row) > after), key=key)
    shown = rest[:limit]
    return shown, write_cursor(key(shown[-1])) if len(rest) > limit else None


def write_cursor(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> str:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise Invalid("bad_cursor", "cursor: not one of ours") from None
