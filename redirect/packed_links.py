"""Packed links by key: strings one behind the other in blocks, found by an index of small numbers.

A link as Python objects of its own (key, string, an entry in a dict) takes 0.3 kB; here it takes its string, its key and about a dozen bytes.
How a link is found, moved and forgotten:

- *index*: the key's hash chooses a bucket of `_WAYS` slots. A slot is a byte of the hash (0 = free) and the place of the record.
- *record*: length of the key, length of the link, hits, key, link. The key is compared, so that equal hashes never answer for each other.
- *block*: records in the order in which they came. The oldest block is cleared as a whole: what was hit since moves to the newest one,
  the rest is forgotten. A record that was dropped, or whose full bucket took another, is a hole until then.

All of it belongs to the thread that answers requests; `has` may be asked by others.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from struct import Struct
from typing import Final

import msgspec

_BLOCK_BITS: Final = 14
BLOCK_BYTES: Final = 1 << _BLOCK_BITS
_IN_BLOCK: Final = BLOCK_BYTES - 1
#: A longer record would leave too much of a block empty.
MAX_RECORD_BYTES: Final = BLOCK_BYTES // 8
_HEAD: Final = Struct("<HHB")
_HEAD_BYTES: Final = _HEAD.size
_HITS_AT: Final = 4
_MAX_HITS: Final = 255
_WAYS: Final = 8
_SLOT_BYTES: Final = 5
#: Two slots for each record of this size: buckets are then half full, and one in fifty has no slot left for the next.
_USUAL_RECORD_BYTES: Final = 110


class Block(msgspec.Struct, gc=False):
    """Records one behind the other in `data`, up to `used`. `live` of them can be found; without any the block is given back."""

    number: int
    data: bytearray
    used: int = 0
    live: int = 0


class PackedLinks:
    """Packed links by key.

    Args:
        max_bytes: how large it may get; it holds to that only by what its owner clears.
        opened: told of each new block, whose turn to be cleared comes in that order.
    """

    def __init__(self, *, max_bytes: int, opened: Callable[[Block], object]) -> None:
        self.count = 0
        self.hits = 0
        self._opened = opened
        self._buckets = max(1, round(max_bytes * 2 / (_USUAL_RECORD_BYTES * _WAYS)))
        self._blocks: list[Block] = []
        self._unused: list[int] = []
        self._start_over()

    def _start_over(self) -> None:
        self._tags = bytearray()
        self._places = array("I")
        self._open: Block | None = None
        self._held = 0

    @property
    def memory_bytes(self) -> int:
        """What blocks and index take."""
        return self._held * BLOCK_BYTES + len(self._tags) * _SLOT_BYTES

    def find(self, key: bytes) -> bytearray | None:
        """The packed link, counting a hit; `hits` then says how often it was hit since its block was filled (at most 255)."""
        # As in `_slot_of`, which would be one call and one look at the block more on the way of a request.
        number = hash(key)
        first = number % self._buckets * _WAYS
        slot = self._tags.find((number >> 48) & 0xFF or 1, first, first + _WAYS)
        while slot >= 0:
            place = self._places[slot]
            data, at = self._blocks[place >> _BLOCK_BITS].data, place & _IN_BLOCK
            key_length, length, hits = _HEAD.unpack_from(data, at)
            start = at + _HEAD_BYTES
            if key_length == len(key) and data.startswith(key, start):
                self.hits = data[at + _HITS_AT] = min(hits + 1, _MAX_HITS)
                start += key_length
                return data[start : start + length]
            slot = self._tags.find(self._tags[slot], slot + 1, first + _WAYS)
        return None

    def has(self, key: bytes) -> bool:
        """Whether it is here: for other threads, which may be told of a moment ago."""
        try:
            return self._slot_of(key) >= 0
        except IndexError:  # everything was given back in between
            return False

    def put(self, key: bytes, packed: bytes) -> bool:
        """Have a link here, in the place of an older one of its key. False when it is too long."""
        if _HEAD_BYTES + len(key) + len(packed) > MAX_RECORD_BYTES:
            return False
        self.drop(key)
        block = self._with_room(_HEAD_BYTES + len(key) + len(packed))
        place = self._write(block, key, packed)
        block.live += 1
        self._point_to(key, place)
        self.count += 1
        return True

    def drop(self, key: bytes) -> bool:
        """Forget a link; False when it is not here."""
        slot = self._slot_of(key)
        if slot < 0:
            return False
        self._free(slot)
        return True

    def clear(self, block: Block, *, keep_hit: bool = True) -> None:
        """Give a block's memory back. With `keep_hit`, what was hit since it came here moves on to the newest block."""
        if block is self._open:
            self._open = None
        data, at = block.data, 0
        while block.live and at < block.used:
            key_length, length, hits = _HEAD.unpack_from(data, at)
            start = at + _HEAD_BYTES
            end = start + key_length + length
            key = bytes(data[start : start + key_length])
            slot = self._slot_of(key)
            if slot >= 0 and self._places[slot] == (block.number << _BLOCK_BITS) + at:
                if hits and keep_hit:
                    self._move(slot, key, data[start + key_length : end], block)
                else:
                    self._free(slot)
            at = end

    def forget(self) -> None:
        """Give everything back."""
        for block in self._blocks:
            block.data, block.live, block.used = bytearray(), 0, 0
        self._blocks, self._unused, self.count = [], [], 0
        self._start_over()

    # --- records ------------------------------------------------------------------------------------------------------------

    def _move(self, slot: int, key: bytes, packed: bytearray, block: Block) -> None:
        """Into the newest block, found without a gap: other threads ask whether it is here."""
        newest = self._with_room(_HEAD_BYTES + len(key) + len(packed))
        self._places[slot] = self._write(newest, key, packed)
        newest.live += 1
        self._leave(block)

    def _write(self, block: Block, key: bytes, packed: bytes | bytearray) -> int:
        """Append a record; its place."""
        at = block.used
        _HEAD.pack_into(block.data, at, len(key), len(packed), 0)
        start = at + _HEAD_BYTES
        block.used = start + len(key) + len(packed)
        block.data[start : block.used] = key + packed
        return (block.number << _BLOCK_BITS) + at

    def _with_room(self, size: int) -> Block:
        block = self._open
        if block is not None and block.used + size <= BLOCK_BYTES:
            return block
        if not self._tags:
            self._places = array("I", bytes(4 * self._buckets * _WAYS))
            self._tags = bytearray(self._buckets * _WAYS)
        number = self._unused.pop() if self._unused else len(self._blocks)
        block = self._open = Block(number, bytearray(BLOCK_BYTES))
        if number == len(self._blocks):
            self._blocks.append(block)
        else:
            self._blocks[number] = block
        self._held += 1
        self._opened(block)
        return block

    def _leave(self, block: Block) -> None:
        """One record less can be found; a block without any is given back, and the index with the last block."""
        block.live -= 1
        if block.live:
            return
        block.data, block.used = bytearray(), 0
        self._unused.append(block.number)
        self._held -= 1
        if block is self._open:
            self._open = None
        if not self._held:
            self._start_over()

    # --- index --------------------------------------------------------------------------------------------------------------

    def _slot_of(self, key: bytes) -> int:
        """The slot that leads to the key's record; -1 when there is none."""
        number = hash(key)
        first = number % self._buckets * _WAYS
        tag = (number >> 48) & 0xFF or 1
        slot = self._tags.find(tag, first, first + _WAYS)
        while slot >= 0:
            place = self._places[slot]
            data, at = self._blocks[place >> _BLOCK_BITS].data, place & _IN_BLOCK
            # The first two bytes of a record are the length of its key.
            if data.startswith(key, at + _HEAD_BYTES) and data[at] + (data[at + 1] << 8) == len(key):
                return slot
            slot = self._tags.find(tag, slot + 1, first + _WAYS)
        return -1

    def _point_to(self, key: bytes, place: int) -> None:
        """Take a free slot of the key's bucket, else the one of its least hit record, which is forgotten."""
        number = hash(key)
        first = number % self._buckets * _WAYS
        slot = self._tags.find(0, first, first + _WAYS)
        if slot < 0:
            slot = min(range(first, first + _WAYS), key=self._hits_of)
            self._free(slot)
        self._places[slot] = place
        self._tags[slot] = (number >> 48) & 0xFF or 1

    def _hits_of(self, slot: int) -> int:
        place = self._places[slot]
        return self._blocks[place >> _BLOCK_BITS].data[(place & _IN_BLOCK) + _HITS_AT]

    def _free(self, slot: int) -> None:
        self._tags[slot] = 0
        self.count -= 1
        self._leave(self._blocks[self._places[slot] >> _BLOCK_BITS])
