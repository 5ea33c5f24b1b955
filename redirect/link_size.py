"""What a prepared link takes in memory, and how links take less: equal parts are kept once."""

from __future__ import annotations

from sys import getsizeof, intern
from typing import Any, Final

import msgspec
from msgspec.structs import force_setattr

from redirect.live_link import LiveLink

#: A plain link without its texts: three structs and the heads of its strings (CPython 3.11, 64 bit).
_PLAIN_BYTES: Final = 640
_MAX_SHARED: Final = 4096


class Sharing:
    """Replaces parts of a link by equal ones that another link has already."""

    def __init__(self) -> None:
        self._names: dict[frozenset[bytes], frozenset[bytes]] = {}

    def shared(self, link: LiveLink) -> LiveLink:
        """The same link. Structs are frozen for those who use them; nobody does yet."""
        target = link.decision.target
        force_setattr(link, "platform", intern(link.platform))
        force_setattr(link, "domain", intern(link.domain))
        force_setattr(target, "outcome", intern(target.outcome))
        if target.own:
            own = self._names.get(target.own)
            if own is None:
                if len(self._names) >= _MAX_SHARED:
                    self._names.clear()
                own = self._names[target.own] = target.own
            force_setattr(target, "own", own)
            if link.own == own:
                force_setattr(link, "own", own)
        return link


def size_of(link: LiveLink) -> int:
    """About the bytes of a link whose equal parts are shared, without its plan. Cheap: it is asked whenever one comes or goes."""
    target = link.decision.target
    texts = (
        target.record,
        target.location,
        target.tail,
        link.ids,
        link.slug,
        link.campaign,
        link.ad_group,
        link.creative,
    )
    return _PLAIN_BYTES + sum(map(len, texts))


def deep_size(value: Any) -> int:
    """Bytes of a value with everything that hangs on it; what hangs on it twice counts twice."""
    total = getsizeof(value)
    if isinstance(value, msgspec.Struct):
        return total + sum(deep_size(getattr(value, name)) for name in value.__struct_fields__)
    if isinstance(value, dict):
        return total + sum(deep_size(key) + deep_size(item) for key, item in value.items())
    if isinstance(value, (tuple, frozenset, list)):
        return total + sum(deep_size(item) for item in value)
    slots = getattr(type(value), "__slots__", ()) if not isinstance(value, (str, bytes, int)) else ()
    return total + sum(deep_size(getattr(value, name, None)) for name in slots)
