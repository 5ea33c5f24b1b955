"""Links prepared when they are written, so that a worker that meets one of a million for the first time need not prepare it.

`links.compiled` holds the LiveLink of a link's present version as msgpack behind `FORMAT`. Only links whose hits all end the same way have
one (no plan), and only when their destination was allowed when they were written: so a compiled link never says less than its
definition. What decides about it today is asked when it is read: the format, the version, and whether the allow-list still contains
the place that its Location begins with.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, Final

import msgspec
import zstandard

from core.destinations import AllowList, normalise
from core.errors import Invalid
from redirect import reasons
from redirect.links.model import Link
from redirect.live_link import LiveLink, to_live
from redirect.plan import Decision, Target

#: Raise it when `to_live` makes something else of the same definition; `tests/redirect/test_compiled.py` says when.
REVISION: Final = 3
_FORMAT_BYTES: Final = 8
_MAX_ORIGINS: Final = 10_000
#: Where the host of a Location can begin at the earliest: behind ``http://``.
_SCHEME_BYTES: Final = 8


def _format() -> bytes:
    """Other fields, or fields of another type, are another format: nobody has to remember that."""
    shape = [
        f"{struct.__name__}.{name}:{kind}"
        for struct in (LiveLink, Decision, Target)
        for name, kind in struct.__annotations__.items()
    ]
    return blake2b("\n".join((str(REVISION), *shape)).encode(), digest_size=_FORMAT_BYTES).digest()


FORMAT: Final = _format()
_encode = msgspec.msgpack.Encoder().encode


def _refuse(kind: type, _value: Any) -> Any:
    """Plans hold functions and are never stored."""
    raise NotImplementedError(kind)


_decode = msgspec.msgpack.Decoder(LiveLink, dec_hook=_refuse).decode


def compile_link(link: Link, *, allowed: AllowList) -> bytes | None:
    """What `links.compiled` holds for a link; None for one that is prepared by the worker."""
    live = to_live(link, allowed=allowed)
    if live.plan is not None or live.decision.target.outcome == reasons.DESTINATION_NOT_ALLOWED:
        return None
    return FORMAT + _encode(live)


class Packing:
    """Links as short strings, for this process only: what they have in common with `examples` is left out.

    Links of one customer differ in little but their IDs: of 0.4 kB a quarter stays, and unpacking takes about a microsecond.
    """

    def __init__(self, examples: Iterable[LiveLink]) -> None:
        common = zstandard.ZstdCompressionDict(
            b"".join(_encode(link) for link in examples if link.plan is None), dict_type=zstandard.DICT_TYPE_RAWCONTENT
        )
        # Without the mark that says what it is: everybody here knows.
        plain = zstandard.FORMAT_ZSTD1_MAGICLESS
        parameters = zstandard.ZstdCompressionParameters.from_level(
            1, format=plain, write_checksum=False, write_dict_id=False, write_content_size=True
        )
        self._compress = zstandard.ZstdCompressor(dict_data=common, compression_params=parameters).compress
        self._decompress = zstandard.ZstdDecompressor(dict_data=common, format=plain).decompress

    def pack(self, link: LiveLink) -> bytes | None:
        """The link without a plan; None for one with a plan."""
        return None if link.plan is not None else self._compress(_encode(link))

    def unpack(self, packed: bytes | bytearray) -> LiveLink:
        """The link again."""
        return _decode(self._decompress(packed))


class Loader:
    """Stored links as LiveLinks: from their compiled form where that is still right, else from the definition."""

    def __init__(self, allowed: AllowList) -> None:
        self._allowed = allowed
        self._origins: dict[bytes, bool] = {}

    def load(self, link: Link) -> LiveLink:
        """Prepare a link from its definition."""
        return to_live(link, allowed=self._allowed)

    def load_compiled(self, compiled: bytes | None, *, version: int) -> LiveLink | None:
        """The link, or None when its definition must be asked: no compiled form, another format or version, or no longer allowed."""
        if compiled is None or not compiled.startswith(FORMAT):
            return None
        try:
            live = _decode(memoryview(compiled)[_FORMAT_BYTES:])
        except msgspec.DecodeError:
            return None
        location = live.decision.target.location
        if live.version != version or (location and not self._leads_to_allowed(location)):
            return None
        return live

    def _leads_to_allowed(self, location: bytes) -> bool:
        """The very bytes that would be sent are asked, not what somebody noted about them."""
        origin = location[: location.find(b"/", _SCHEME_BYTES) + 1]
        known = self._origins.get(origin)
        if known is None:
            if len(self._origins) >= _MAX_ORIGINS:
                self._origins.clear()
            known = self._origins[origin] = self._is_allowed(origin)
        return known

    def _is_allowed(self, origin: bytes) -> bool:
        try:
            destination = normalise(origin.decode())
        except (Invalid, UnicodeDecodeError):
            return False
        return destination.url.encode() == origin and self._allowed.refusal(destination) is None
