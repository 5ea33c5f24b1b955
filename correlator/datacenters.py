"""Which networks belong to data centres, by the lists that the user brings: people do not click from there.

Formats, told by the content: CIDRs one a line (# begins a comment), AWS ip-ranges.json, Google cloud.json, Azure service tags; a file
ending in .mmdb is an ASN database whose organisation is compared with `HOSTERS`. Files are read again when they change; one that is
missing or unreadable is said in the report and by `clicktrace doctor`, and the others go on.
"""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Literal

import maxminddb
import msgspec

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Words of the organisations that rent out machines, as ASN databases write them. Kept short: a wrong one flags a country's people.
HOSTERS: Final[tuple[str, ...]] = (
    "akamai connected cloud", "alibaba", "amazon", "aws", "choopa", "constant company", "contabo", "datacamp", "digitalocean", "google cloud",
    "google-cloud-platform", "hetzner", "hostinger", "hostwinds", "ionos", "kamatera", "latitude.sh", "leaseweb", "linode", "m247",
    "microsoft azure", "namecheap", "oracle", "ovh", "packethub", "psychz", "quadranet", "rackspace", "scaleway", "tencent cloud", "upcloud",
    "vultr", "zenlayer",
)  # fmt: skip
_HOSTER: Final = re.compile(f"(?<![a-z0-9])(?:{'|'.join(re.escape(word) for word in HOSTERS)})(?![a-z0-9])")

State = Literal["ok", "missing", "unreadable"]


class ListFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file as it was found. `entries` counts its networks, for an ASN database those that it has at all."""

    path: str
    state: State
    entries: int = 0
    changed_ms: int = 0
    problem: str = ""


class Ranges:
    """Networks of one IP version, merged: how much of another network they cover."""

    def __init__(self, networks: Iterable[IPNetwork]) -> None:
        # Sorted and without overlap.
        merged = list(ipaddress.collapse_addresses(networks))  # type: ignore[type-var] # one version only
        self._starts = [int(network.network_address) for network in merged]
        self._ends = [int(network.broadcast_address) for network in merged]

    def covers(self, network: IPNetwork) -> float:
        """Share of the network's addresses that lie in one of ours."""
        first, last = int(network.network_address), int(network.broadcast_address)
        at = max(0, bisect_right(self._starts, first) - 1)
        covered = 0
        while at < len(self._starts) and self._starts[at] <= last:
            covered += max(0, min(last, self._ends[at]) - max(first, self._starts[at]) + 1)
            at += 1
        return covered / network.num_addresses


class Datacenters:
    """All lists together. `version` is a hash of them, "" without any: what was looked up in other lists is no longer true."""

    def __init__(self, files: Sequence[ListFile], networks: Sequence[IPNetwork], databases: Sequence[Path]) -> None:
        self.files = tuple(files)
        self._v4 = Ranges(network for network in networks if network.version == 4)
        self._v6 = Ranges(network for network in networks if network.version == 6)
        self._databases = [maxminddb.open_database(path, maxminddb.MODE_MEMORY) for path in databases]
        self.version = _version(self.files)

    def owner(self, network: str) -> str | None:
        """Who owns a truncated network (/24, /48) that lies in a data centre: an organisation, or "listed"; None = nobody we know.

        At least half of it must be listed: providers give single addresses to customers' offices, too.
        """
        try:
            parsed = ipaddress.ip_network(network, strict=False)
        except ValueError:  # an import brought something else; nobody's, and no reason to stop a tick
            return None
        ranges = self._v4 if parsed.version == 4 else self._v6
        if ranges.covers(parsed) >= 0.5:
            return "listed"
        address = str(parsed.network_address + 1)
        return next(
            (name for name in (_organisation(found, address) for found in self._databases) if is_hoster(name)), None
        )


def is_hoster(organisation: str) -> bool:
    """Whether an organisation's name holds a word of the kept list, as a word of its own."""
    return _HOSTER.search(organisation.lower()) is not None


def load(paths: Sequence[str]) -> Datacenters:
    """The lists as the files say now; parsed again only when one changed."""
    return _load(tuple((path, *_stamp(Path(path))) for path in paths))


@lru_cache(maxsize=2)
def _load(stamps: tuple[tuple[str, int, int], ...]) -> Datacenters:
    files: list[ListFile] = []
    networks: list[IPNetwork] = []
    databases: list[Path] = []
    for path, changed_ns, _size in stamps:
        found = _read(Path(path), networks, databases) if changed_ns else ListFile(path=path, state="missing")
        files.append(msgspec.structs.replace(found, changed_ms=changed_ns // 1_000_000))
    return Datacenters(files, networks, databases)


def _read(path: Path, networks: list[IPNetwork], databases: list[Path]) -> ListFile:
    """Add what a file holds to `networks` or `databases`."""
    try:
        if path.suffix == ".mmdb":
            with maxminddb.open_database(path) as database:
                entries = database.metadata().node_count
            databases.append(path)
        else:
            found = parse(path.read_bytes())
            networks += found
            entries = len(found)
    except (OSError, ValueError, maxminddb.InvalidDatabaseError) as error:
        return ListFile(path=str(path), state="unreadable", problem=str(error)[:200])
    return ListFile(path=str(path), state="ok", entries=entries)


def parse(content: bytes) -> list[IPNetwork]:
    """Networks of a list file.

    Raises:
        ValueError: it is neither of the known formats, or names what is no network.
    """
    text = content.decode("utf-8-sig")
    if not text.lstrip().startswith(("{", "[")):
        lines = (line.partition("#")[0].strip() for line in text.splitlines())
        return [ipaddress.ip_network(line, strict=False) for line in lines if line]
    try:
        prefixes = list(_prefixes(msgspec.json.decode(content)))
    except (msgspec.DecodeError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not a list of networks: {error!r}") from None
    if not prefixes:
        raise ValueError("not a list of networks: no prefix in it")
    return [ipaddress.ip_network(prefix, strict=False) for prefix in prefixes]


def _prefixes(body: Any) -> Iterator[str]:
    """AWS: prefixes[].ip_prefix, ipv6_prefixes[].ipv6_prefix. Google: prefixes[].ipv4Prefix | ipv6Prefix. Azure: values[].properties.addressPrefixes."""
    names = ("ip_prefix", "ipv6_prefix", "ipv4Prefix", "ipv6Prefix")
    for entry in [*body.get("prefixes", ()), *body.get("ipv6_prefixes", ())]:
        yield from (entry[name] for name in names if name in entry)
    for tag in body.get("values", ()):
        yield from tag["properties"]["addressPrefixes"]


def _organisation(database: maxminddb.Reader, address: str) -> str:
    try:
        found = database.get(address)
    except ValueError:  # an IPv6 address in a database of IPv4
        return ""
    return str(found.get("autonomous_system_organization", "")) if isinstance(found, dict) else ""


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def _version(files: Sequence[ListFile]) -> str:
    usable = [file for file in files if file.state == "ok"]
    return blake2b(msgspec.json.encode(usable), digest_size=8).hexdigest() if usable else ""
