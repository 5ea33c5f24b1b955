"""Packed links in blocks: what is found is what was put in, whatever moved or was forgotten in between."""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from redirect.packed_links import BLOCK_BYTES, MAX_RECORD_BYTES, Block, PackedLinks

#: So few buckets that they are full now and then.
KEYS = st.integers(0, 30).map(lambda number: b"/s%d" % number if number % 3 else b"go.example/s%d" % number)
LINKS = st.integers(0, 1900).map(lambda number: bytes([number % 251]) * number)


def found(packed: PackedLinks, key: bytes) -> bytes | None:
    link = packed.find(key)
    return None if link is None else bytes(link)


class PackedLinksMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.blocks: deque[Block] = deque()
        self.packed = PackedLinks(max_bytes=1300, opened=self.blocks.append)
        self.model: dict[bytes, bytes] = {}

    @rule(key=KEYS, link=LINKS)
    def put(self, key: bytes, link: bytes) -> None:
        assert self.packed.put(key, link) == (len(key) + len(link) + 5 <= MAX_RECORD_BYTES)
        if len(key) + len(link) + 5 <= MAX_RECORD_BYTES:
            self.model[key] = link
        self._forget_what_had_no_slot(key)

    @rule(key=KEYS)
    def find(self, key: bytes) -> None:
        assert found(self.packed, key) == self.model.get(key)
        assert self.packed.has(key) == (key in self.model)

    @rule(key=KEYS)
    def drop(self, key: bytes) -> None:
        assert self.packed.drop(key) == (self.model.pop(key, None) is not None)

    @rule()
    def clear_the_oldest(self) -> None:
        if self.blocks:
            self.packed.clear(block := self.blocks.popleft())
            assert not block.live
            self.model = {key: link for key, link in self.model.items() if self.packed.has(key)}

    @rule()
    def clear_the_oldest_whatever_was_hit(self) -> None:
        before = len(self.packed_blocks())
        if self.blocks:
            self.packed.clear(self.blocks.popleft(), keep_hit=False)
            self.model = {key: link for key, link in self.model.items() if self.packed.has(key)}
            assert len(self.packed_blocks()) <= before

    @rule()
    def forget(self) -> None:
        self.packed.forget()
        self.blocks.clear()
        self.model.clear()

    def _forget_what_had_no_slot(self, key: bytes) -> None:
        gone = [other for other in self.model if not self.packed.has(other)]
        assert len(gone) <= 1
        assert key not in gone
        for other in gone:
            del self.model[other]

    def packed_blocks(self) -> list[Block]:
        return [block for block in self.blocks if block.live]

    @invariant()
    def all_of_it_is_found(self) -> None:
        assert self.packed.count == len(self.model)
        assert all(self.packed.has(key) for key in self.model)

    def teardown(self) -> None:
        for key, link in self.model.items():
            assert found(self.packed, key) == link

    @invariant()
    def an_empty_one_takes_nothing(self) -> None:
        index = self.packed.memory_bytes - len(self.packed_blocks()) * BLOCK_BYTES
        assert index in (0, 120)
        assert bool(self.packed.memory_bytes) == bool(self.model)


TestPackedLinks = PackedLinksMachine.TestCase
TestPackedLinks.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)


def test_what_was_hit_since_its_block_was_filled_moves_on_and_the_rest_goes() -> None:
    blocks: deque[Block] = deque()
    packed = PackedLinks(max_bytes=10_000_000, opened=blocks.append)
    for number in range(1000):
        packed.put(b"/s%d" % number, b"x" * 95)
    assert len(blocks) == -(-1000 // (BLOCK_BYTES // 105))
    for number in range(0, 1000, 2):
        packed.find(b"/s%d" % number)
    for _ in range(len(blocks) - 1):
        packed.clear(oldest := blocks.popleft())
        assert not oldest.live
    kept = [number for number in range(1000) if packed.has(b"/s%d" % number)]
    assert kept[:400] == list(range(0, 800, 2))
    assert found(packed, b"/s0") == b"x" * 95
    assert packed.hits == 1, "counted anew in its new place"


def test_keys_with_equal_beginnings_are_told_apart() -> None:
    packed = PackedLinks(max_bytes=100, opened=lambda block: None)
    for number in range(3000):  # one in 255 has the same byte of its hash
        packed.put(b"/s", b"%d" % number)
        assert packed.find(b"/s%d" % number) is None
