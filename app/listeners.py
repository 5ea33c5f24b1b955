"""Listening sockets that a supervisor owns, so that a process behind one can be replaced without a refused connection."""

from __future__ import annotations

import socket

import msgspec

from core.errors import SettingsError

BACKLOG = 2048


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen; port 0 means any free port. `setting` is the field that says so, for the error message."""

    name: str
    host: str
    port: int
    setting: str


class Listeners:
    """Open listening sockets by name."""

    def __init__(self, sockets: dict[str, socket.socket]) -> None:
        self._sockets = sockets

    @classmethod
    def open(cls, addresses: list[Address]) -> Listeners:
        """Bind every address.

        Raises:
            SettingsError: naming every address that cannot be bound.
        """
        sockets: dict[str, socket.socket] = {}
        problems: list[str] = []
        for address in addresses:
            try:
                sockets[address.name] = _listen(address)
            except OSError as error:
                where = f"{address.host}:{address.port}"
                problems.append(f"{address.setting}: cannot listen on {where}: {error.strerror or error}")
        if problems:
            for sock in sockets.values():
                sock.close()
            raise SettingsError(problems, looked_in=["this machine's ports"])
        return cls(sockets)

    def descriptors(self, names: list[str]) -> dict[str, int]:
        """File descriptors by name, for a child that inherits them."""
        return {name: self._sockets[name].fileno() for name in names if name in self._sockets}

    def ports(self) -> dict[str, int]:
        """The port in force for every name."""
        return {name: int(sock.getsockname()[1]) for name, sock in self._sockets.items()}

    def hosts(self) -> dict[str, str]:
        return {name: str(sock.getsockname()[0]) for name, sock in self._sockets.items()}

    def close(self) -> None:
        for sock in self._sockets.values():
            sock.close()


def _listen(address: Address) -> socket.socket:
    family, kind, protocol, _, where = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
