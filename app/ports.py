"""Free ports for child processes that are told their port before they open it."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_OURS = (12_000, 32_000)  # below what most kernels hand to outgoing connections
_held: list[socket.socket] = []


def free_port(preferred: int = 0) -> int:
    """`preferred` when nobody listens there, else a port that stays free until our child opens it.

    Between the choice and the child's `listen` seconds may pass, in which a port that the kernel hands out is soon taken by
    somebody's outgoing connection. So it is chosen outside the kernel's range, and held for the life of this process by a
    bound socket that does not listen: `SO_REUSEADDR`, which every server sets, lets the child in beside it, and another
    chooser, who does not set it, goes elsewhere.

    Raises:
        OSError: none is free.
    """
    if preferred and _nobody_listens(preferred):
        return preferred
    for _ in range(1000):
        holder = socket.socket()
        try:
            holder.bind(("127.0.0.1", random.randrange(*_range())))
        except OSError:
            holder.close()
            continue
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _held.append(holder)
        return int(holder.getsockname()[1])
    raise OSError("no free port on the loopback address")


def _nobody_listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _range() -> tuple[int, int]:
    try:
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError):
        return _OURS
    return (_OURS[0], lowest) if lowest > _OURS[0] + 1000 else _OURS
