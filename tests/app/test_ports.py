from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

from app.ports import free_port

CHOOSE = "from app.ports import free_port; print(*(free_port() for _ in range(200)))"


def test_a_chosen_port_is_not_chosen_again_by_another_process() -> None:
    mine = {free_port() for _ in range(200)}
    theirs = subprocess.run([sys.executable, "-c", CHOOSE], capture_output=True, check=True, text=True).stdout.split()
    assert len(mine) == len(set(theirs)) == 200
    assert not mine & {int(port) for port in theirs}


def test_a_child_listens_on_the_port_that_we_hold() -> None:
    port = free_port()
    child = subprocess.Popen(
        [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)], stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
                break
            except ConnectionRefusedError:
                assert time.monotonic() < until
                assert child.poll() is None
                time.sleep(0.05)
    finally:
        child.kill()
        child.wait(5)


def test_no_outgoing_connection_can_take_it() -> None:
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert lowest < 14_000 or free_port() < lowest


def test_a_preferred_port_is_taken_when_nobody_listens_there() -> None:
    port = free_port()
    assert free_port(port) == port
    with socket.create_server(("127.0.0.1", port)):
        assert free_port(port) != port
