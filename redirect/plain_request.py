"""The plain request, recognised at a glance: what a browser sends when somebody follows a link.

Nearly every request is a GET without a body that arrives in one piece. A parser that calls back for each of a dozen headers costs
more than all the rest of a redirect (docs/benchmarks.md), so this one shape is read without it: one look-up for a header block that
was seen before, else one look-up per line.

Nothing unusual is judged here. Another method, a body, chunks, `Expect`, `Upgrade`, a header sent twice, half a request, two
requests, a byte that does not belong: `read` says False, and the thorough parser (`redirect.parser`) decides. So this file can
never disagree with it about where a request ends: what it takes has no body, and stops at its only empty line. A test compares both on
thousands of mutilated requests.
"""

from __future__ import annotations

import re
from typing import Any, Final

from redirect import request as fields
from redirect.parser import is_host
from redirect.request import EMPTY_FIELDS, SLOT_OF, Request, slot_of

_TARGET: Final = bytes(range(0x61, 0x7B)) + bytes(range(0x41, 0x5B)) + b"0123456789-._~!$&'()*+,;=:@/?%"
#: A header line without white space at its end, folding, control characters or a bare CR or LF.
_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)")
#: What changes how a message is framed or how the connection goes on: never plain, whatever it says.
_FRAMING: Final = frozenset(
    (b"content-length", b"expect", b"http2-settings", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)  # fmt: skip
_CLOSE_SLOT: Final = -1
_CONNECTION: Final[dict[bytes, int]] = {b"close": _CLOSE_SLOT, b"keep-alive": fields.IGNORED}
#: Differ from visitor to visitor, and no longer than a request may they stay in memory.
_PERSONAL: Final = frozenset((fields.COOKIE, fields.FORWARDED_FOR, fields.CANARY))

_Block = tuple[list[bytes], bool]
_MEMO_SIZE: Final = 2048
_MAX_REMEMBERED: Final = 2048
_BLOCKS: dict[bytes, _Block] = {}
_LINES: dict[bytes, tuple[int, bytes]] = {}


def read(data: bytes, request: Request) -> bool:
    """Fill `request` and say True when `data` is exactly one plain request. The header fields are shared: read them only."""
    line, _, block = data.partition(b"\r\n")
    target = line[4:-9]
    if line[:5] != b"GET /" or line[-9:] != b" HTTP/1.1" or target.translate(None, _TARGET):
        return False
    known = _BLOCKS.get(block) or _read_block(block)
    if known is None:
        return False
    request.method = b"GET"
    request.body = b""
    request.target = target
    request.fields, request.keep_alive = known
    return True


def _read_block(block: bytes) -> _Block | None:
    """All header lines and the empty one; None when something is not plain."""
    if block[-4:] != b"\r\n\r\n":
        return None
    held = EMPTY_FIELDS.copy()
    keep_alive = True
    for line in block[:-4].split(b"\r\n"):
        known = _LINES.get(line) or _read_line(line)
        if known is None:
            return None
        slot, value = known
        if slot > 0:
            if held[slot]:
                return None
            held[slot] = value
        elif slot == _CLOSE_SLOT:
            keep_alive = False
    if not held[fields.HOST]:
        return None
    found = (held, keep_alive)
    personal = held[fields.COOKIE] or held[fields.FORWARDED_FOR] or held[fields.CANARY]
    if not personal and len(block) <= _MAX_REMEMBERED:
        _remember(_BLOCKS, block, found)
    return found


def _read_line(line: bytes) -> tuple[int, bytes] | None:
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    name, value = match.groups()
    slot = SLOT_OF.get(name)
    if slot is None:
        slot = slot_of(name)
    if slot == fields.IGNORED:
        lower = name.lower()
        if lower == b"connection":
            slot = _CONNECTION.get(value.lower())
        if slot is None or lower in _FRAMING:
            return None
    elif slot == fields.EXPECT or not value or (slot == fields.HOST and not is_host(value)):
        return None
    found = (slot, value)
    if slot not in _PERSONAL and len(line) <= _MAX_REMEMBERED:
        _remember(_LINES, line, found)
    return found


def _remember(memo: dict[bytes, Any], key: bytes, found: object) -> None:
    """Bounded: a full memo starts anew, which costs a busy worker less than keeping an order of use."""
    if len(memo) >= _MEMO_SIZE:
        memo.clear()
    memo[key] = found
