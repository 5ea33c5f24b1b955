"""What changed from one version of a link to the next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from redirect.links.model import LinkChange, LinkDefinition


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A version beside the one before it: field -> (before, after)."""

    change: LinkChange
    changed: dict[str, tuple[Any, Any]]


def differences(before: LinkDefinition, after: LinkDefinition) -> dict[str, tuple[Any, Any]]:
    """Fields that differ, in the order of the definition."""
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in LinkDefinition.__struct_fields__)
    return {name: (msgspec.to_builtins(one), msgspec.to_builtins(other)) for name, one, other in pairs if one != other}


def steps(changes: Iterable[LinkChange]) -> Iterator[Step]:
    """Each version with what it changed; nothing is compared across a gap (versions that the reader may not see)."""
    last: LinkChange | None = None
    for change in changes:
        follows = last is not None and last.version == change.version - 1
        changed = differences(last.definition, change.definition) if last is not None and follows else {}
        yield Step(change=change, changed=changed)
        last = change
