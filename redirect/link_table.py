"""The links a worker has in memory: as many as fit, by domain and raw path; the others are read when they are hit.

A hit is one or two dict look-ups and a count. By how often a link is hit it is

- *prepared*: ready to answer, about 1.2 kB; links that could be packed take at most `PREPARED_SHARE` of the table. Hit less than `OFTEN`
  times in a round, such a one is packed.
- *packed* (`redirect.packed_links`): about 0.1 kB, unpacked at every hit in two microseconds. Hit `OFTEN` times, it is prepared when
  there is room; not hit for a round, it goes.
- *in the database*: read at every hit, ten times as dear. Once the table is full a link comes in only on its second hit within a while:
  most of a million links are hit once in hours, and taking each in would throw out one that is hit every minute.

A round is CLOCK's (F. J. Corbató 1968): the oldest is looked at when room is needed, a prepared link or a block of packed ones.

All of it belongs to the thread that answers requests.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Final, Protocol
from urllib.parse import unquote_to_bytes

import msgspec

from core.errors import ClicktraceError
from redirect.compiled import Packing
from redirect.link_size import Sharing, deep_size, size_of
from redirect.links.model import RESERVED_SLUGS
from redirect.live_link import LiveLink
from redirect.packed_links import Block, PackedLinks

DEFAULT_MAX_BYTES: Final = 84 * 1024 * 1024
#: What an entry costs besides its link: the entry, its place in the round, its path, its share of a dict.
_ENTRY_BYTES: Final = 186
#: Blocks from which one link that comes in may save what was hit, a millisecond's work; the next is cleared whatever was hit.
_PATIENCE: Final = 8
#: Of the table's bytes, for one place of the door.
_PER_PLACE: Final = 1024
#: Links that the packed ones are compared with.
_EXAMPLES: Final = 8
#: Hits in one round that make a link worth four times the memory.
OFTEN: Final = 8
#: Of the table's bytes, for links that could be packed.
PREPARED_SHARE: Final = 0.25
_PATH: Final = re.compile(rb"/[A-Za-z0-9_-][A-Za-z0-9._~-]{0,127}")
_RESERVED: Final = frozenset(f"/{slug}".encode() for slug in RESERVED_SLUGS)


class LinksUnavailable(ClicktraceError):
    """The database that holds the links does not answer; links in memory are served on."""

    retryable = True


class LinkSource(Protocol):
    """Where links are read from that are not in memory."""

    def read(self, slug: str, domain: str) -> LiveLink | None:
        """A link; on a domain, its own before the one of every domain.

        Raises:
            LinksUnavailable: the database does not answer.
        """
        ...


class _NoLinks:
    def read(self, slug: str, domain: str) -> LiveLink | None:
        return None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A link that changed. `link` is its new state where it was in memory, None where it was not."""

    slug: str
    domain: str
    link: LiveLink | None = None


class _Entry(msgspec.Struct, gc=False):
    """A prepared link. `host` is the domain under which it was asked for; `link` is None once it is out."""

    host: bytes
    path: bytes
    link: LiveLink | None
    #: Since the entry was looked at last.
    hits: int = 0
    #: Of the link's plan, measured once: that is dear, and another answer when it goes would let the sum drift.
    plan_bytes: int = 0


class LinkTable:
    """Links by domain and raw path, bounded by their size in memory."""

    def __init__(self, source: LinkSource | None = None, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self.reads = 0
        self._source: LinkSource = source or _NoLinks()
        self._max_bytes = max_bytes
        self._max_prepared = round(max_bytes * PREPARED_SHARE)
        #: Bytes of the prepared links, and of those among them that could be packed.
        self._ready = self._prepared = 0
        #: Under b"" what is asked for on hosts that have no link of their own.
        self._everywhere: dict[bytes, _Entry] = {}
        self._hosts: dict[bytes, dict[bytes, _Entry]] = {b"": self._everywhere}
        self._has_domains = False
        self._sharing = Sharing()
        self._packing = Packing(())
        self._has_examples = False
        self._round: deque[_Entry | Block] = deque()
        self._packed = PackedLinks(max_bytes=max_bytes - self._max_prepared, opened=self._round.append)
        self._was_full = False
        # A place for about four of the packed links that fit. Eight times as many let in what comes rarely, and found as many hits in memory.
        self._door_bits = max(8, (max_bytes // _PER_PLACE).bit_length())
        self._door = bytearray(1 << self._door_bits)

    def __len__(self) -> int:
        return self._packed.count + sum(len(paths) for paths in self._hosts.values())

    @property
    def memory_bytes(self) -> int:
        """What the links take in memory."""
        return self._ready + self._packed.memory_bytes

    def find(self, host: bytes, path: bytes) -> LiveLink | None:
        """The link of a Host header and a raw path; a link of that domain wins over one of every domain.

        Raises:
            LinksUnavailable: it is not in memory, and the database does not answer.
        """
        domain = self._domain_of(host) if self._has_domains else b""
        entry = self._hosts[domain].get(path)
        if entry is not None:
            entry.hits += 1
            return entry.link
        packed = self._packed.find(domain + path)
        if packed is None:
            return self._read(domain, path)
        link = self._packing.unpack(packed)
        if self._packed.hits >= OFTEN and self._prepared < self._max_prepared:
            self._prepare(domain, path, self._sharing.shared(link), hits=self._packed.hits)
        return link

    def find_unusual(self, host: bytes, path: bytes) -> LiveLink | None:
        """`find` for spellings nobody prints: percent-encoded letters, a trailing slash."""
        plain = unquote_to_bytes(path)
        if len(plain) > 1:
            plain = plain.removesuffix(b"/")
        return self.find(host, plain) if plain != path else None

    def holds(self, slug: str) -> bool:
        """Whether a link of this slug is in memory, under any domain. The only question that another thread may ask."""
        path = b"/" + slug.encode()
        return any(path in paths or self._packed.has(host + path) for host, paths in list(self._hosts.items()))

    # --- what changes -------------------------------------------------------------------------------------------------------

    def know_domains(self, domains: Iterable[str]) -> None:
        """Hosts that have links of their own."""
        for domain in domains:
            self._hosts.setdefault(domain.encode(), {})
        self._has_domains = len(self._hosts) > 1

    def apply(self, changes: Iterable[Change]) -> None:
        """Take over changed links that are in memory; those that are not will be read when they are hit."""
        for change in changes:
            self.know_domains((change.domain,))
            path = b"/" + change.slug.encode()
            hosts = (change.domain.encode(),) if change.domain else tuple(self._hosts)
            for host in hosts:
                present = self._present(host, path)
                if present is not None and _concerns(change, present):
                    self._replace(host, path, change.link)

    def put(self, link: LiveLink) -> None:
        """Have a link in memory; an older version than the present one is ignored."""
        self.know_domains((link.domain,))
        host, path = link.domain.encode(), b"/" + link.slug.encode()
        present = self._present(host, path)
        if present is None or present.version <= link.version:
            self._replace(host, path, link)

    def forget(self) -> None:
        """Read everything anew when it is hit."""
        for paths in self._hosts.values():
            paths.clear()
        self._packed.forget()
        self._round.clear()
        self._was_full = False
        self._ready = self._prepared = 0

    # --- in and out ---------------------------------------------------------------------------------------------------------

    def _read(self, domain: bytes, path: bytes) -> LiveLink | None:
        if _PATH.fullmatch(path) is None or path in _RESERVED:
            return None
        self.reads += 1
        link = self._source.read(path[1:].decode(), domain.decode())
        if link is not None and (not self._was_full or self._was_here(path)):
            self._take_in(domain, path, link)
        return link

    def _domain_of(self, host: bytes) -> bytes:
        """The domain with links of its own that a Host header means, b"" for all others."""
        if host in self._hosts:
            return host
        bare = _bare(host)
        return bare if bare in self._hosts else b""

    def _was_here(self, path: bytes) -> bool:
        """True when the path was asked for before, as far as a byte per place remembers; paths that share a place forget each other."""
        number = hash(path)
        place, mark = number & (len(self._door) - 1), (number >> self._door_bits) & 0xFF or 1
        if self._door[place] == mark:
            return True
        self._door[place] = mark
        return False

    def _present(self, host: bytes, path: bytes) -> LiveLink | None:
        """The link that is in memory."""
        entry = self._hosts[host].get(path)
        if entry is not None:
            return entry.link
        packed = self._packed.find(host + path)
        return None if packed is None else self._packing.unpack(packed)

    def _replace(self, host: bytes, path: bytes, link: LiveLink | None) -> None:
        entry = self._hosts[host].get(path)
        if entry is not None:
            self._drop(entry)
        self._packed.drop(host + path)
        if link is not None:
            self._take_in(host, path, link)

    def _take_in(self, host: bytes, path: bytes, link: LiveLink) -> None:
        """Prepared while there is room for such, else packed."""
        if self._prepared < self._max_prepared or not self._pack(host, path, link):
            self._prepare(host, path, self._sharing.shared(link), hits=0)
        blocks = 0
        while self.memory_bytes > self._max_bytes and len(self._round) > 1:
            self._was_full = True
            oldest = self._round.popleft()
            if isinstance(oldest, Block):
                blocks += 1
                self._packed.clear(oldest, keep_hit=blocks < _PATIENCE)
            else:
                self._look_at(oldest)

    def _look_at(self, oldest: _Entry) -> None:
        """A prepared link that was hit since the last look stays for another round, one step lower when it was not hit often."""
        link = oldest.link
        if link is None:
            return
        often = oldest.hits >= OFTEN or link.plan is not None
        if not oldest.hits or (not often and self._pack(oldest.host, oldest.path, link)):
            self._drop(oldest)
        else:
            oldest.hits = 0
            self._round.append(oldest)

    def _prepare(self, host: bytes, path: bytes, link: LiveLink, *, hits: int) -> None:
        """Have a link prepared, and not packed any more."""
        entry = _Entry(host, path, link, hits)
        if link.plan is not None:
            entry.plan_bytes = deep_size(link.plan)
        self._hosts[host][path] = entry
        self._packed.drop(host + path)
        self._round.append(entry)
        self._count(entry, 1)

    def _pack(self, host: bytes, path: bytes, link: LiveLink) -> bool:
        """Have a link packed; False for one that cannot be."""
        if not self._has_examples:
            latest = (
                entry.link for entry in reversed(self._round) if isinstance(entry, _Entry) and entry.link is not None
            )
            self._packing, self._has_examples = Packing(islice(latest, _EXAMPLES)), True
        packed = self._packing.pack(link)
        return packed is not None and self._packed.put(host + path, packed)

    def _drop(self, entry: _Entry) -> None:
        """Out of the dict; its place in the round is given up when the round comes to it."""
        del self._hosts[entry.host][entry.path]
        self._count(entry, -1)
        entry.link = None

    def _count(self, entry: _Entry, sign: int) -> None:
        size = sign * _size(entry)
        self._ready += size
        if entry.plan_bytes == 0:
            self._prepared += size


def _size(entry: _Entry) -> int:
    """About the bytes of a prepared link in memory."""
    assert entry.link is not None
    return _ENTRY_BYTES + len(entry.path) + entry.plan_bytes + size_of(entry.link)


def _concerns(change: Change, present: LiveLink) -> bool:
    """Not the domain's own link when that of every domain changed, and nothing that was read after the change was."""
    if present.domain and not change.domain:
        return False
    new = change.link
    return new is None or new.link_id != present.link_id or new.version >= present.version


def _bare(host: bytes) -> bytes:
    """A Host header's name without its port, in lower case."""
    name = host.lower()
    return name if name.startswith(b"[") else name.partition(b":")[0]
