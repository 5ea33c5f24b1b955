"""The supervisor behind `clicktrace up`: owns the listening sockets, starts redirect workers and the monitor, restarts what dies.

It opens neither the engine nor the journal, and so has nothing to lose. Its life, step by step:

1. lock the data directory, bind every port;
2. start the children, each with the sockets it serves; write `<data_dir>/run/up.json`;
3. wait for signals and deaths: restart with back-off, forward SIGHUP, replace the redirect workers on SIGUSR2 (`app.replacement`);
4. on SIGTERM or SIGINT stop the redirect workers, then the monitor (which ships what they wrote), each within a bound.

When the supervisor itself is killed, its children see the end of their standard input and stop (`app.lifecycle`).
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from types import FrameType

import structlog

from app.auth import KeyRing
from app.children import Child, ChildSpec
from app.lifecycle import CONFIG_EXIT_CODE, Assignment
from app.listeners import Address, Listeners
from app.replacement import Replacement
from app.run_state import ChildState, RunState, lock, state_path, write_state
from app.settings import Settings, with_ports
from core.clock import now_ms
from core.control.engine import open_control
from redirect.counters import read_all

log = structlog.get_logger(__name__)

STOPPING = (signal.SIGTERM, signal.SIGINT)
WATCHED = (*STOPPING, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD)
LONGEST_WAIT_S = 1.0
_REPLACING_WAIT_S = 0.1
#: On top of the drain: closing the journal and ending the interpreter.
_STOP_GRACE_S = 10.0
#: Which sockets and locks each part needs. `monitor` and `ship` both ship, and only one process may ship a journal directory.
SOCKETS = {
    "redirect": ["redirect"],
    "monitor": ["monitor", "otlp", "read", "public"],
    "ship": [],
    "ingest": ["monitor", "otlp", "public"],
}
LOCKS = {"redirect": ["redirect"], "monitor": ["monitor", "shipper"], "ship": ["shipper"], "ingest": ["ingest"]}


class Supervisor:
    """Runs `parts` (of redirect, monitor, ship, ingest) until it is told to stop."""

    def __init__(self, settings: Settings, *, parts: list[str], role: str, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._role = role
        self._parts = parts
        self._say = say
        self._children: list[Child] = []
        self._received: list[int] = []
        self._started_at = now_ms()
        self._exit_code = 0
        self._replacement = Replacement(
            is_ready=self._is_serving, stop_within_s=settings.redirect.drain_timeout_s + _STOP_GRACE_S
        )

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the process's exit code.

        Raises:
            AlreadyRunning: another supervisor holds the data directory.
            SettingsError: a port cannot be bound.
        """
        data_dir = self._settings.data_dir
        locks = lock(data_dir, [name for part in self._parts for name in LOCKS[part]])
        self._listeners = Listeners.open(addresses(self._settings, self._parts))
        self._settings = with_ports(self._settings, self._listeners.ports())
        made = _prepare_control(self._settings)
        # The signals are watched before the first child exists: a stop that comes while starting must not leave children behind.
        wake = self._watch_signals()
        try:
            self._children = [Child(spec) for spec in self._specs()]
            for child in self._children:
                child.start()
            self._publish()
            self._greet(made)
            self._supervise(wake)
        finally:
            self._stop()
            state_path(data_dir, self._role).unlink(missing_ok=True)
            for file in locks:
                file.close()
        return self._exit_code

    def state(self) -> RunState:
        """What the status file says."""
        ports, hosts = self._listeners.ports(), self._listeners.hosts()
        return RunState(
            pid=os.getpid(),
            started_at=self._started_at,
            hosts=hosts,
            ports=ports,
            children=[ChildState(name=c.spec.name, pid=c.pid, restarts=c.restarts) for c in self._children],
            console=self._settings.console_url if "monitor" in ports else "",
            admin_key_file=str((self._settings.data_dir / "admin.key").resolve()),
        )

    def _specs(self) -> list[ChildSpec]:
        settings = pickle.dumps(self._settings)
        specs: list[ChildSpec] = []
        for part in self._parts:
            sockets = self._listeners.descriptors(SOCKETS[part])
            copies = self._settings.redirect.workers if part == "redirect" else 1
            for index in range(copies):
                assignment = Assignment(settings=settings, sockets=sockets, role=part, index=index)
                specs.append(_spec(part, assignment, numbered=part == "redirect"))
        return specs

    def _greet(self, made: Path | None) -> None:
        state = self.state()
        for name, port in state.ports.items():
            self._say(f"{name}: {state.hosts[name]}:{port}")
        if state.console:
            self._say(f"console: {state.console} (clicktrace keys link prints a link that signs in)")
        self._say(f"admin key: {state.admin_key_file}" + (" (made now)" if made else ""))

    def _watch_signals(self) -> socket.socket:
        """Signals end up in `_received`; the returned socket becomes readable when one arrives."""
        reading, writing = socket.socketpair()
        reading.setblocking(False)
        writing.setblocking(False)
        self._wake_pair = (reading, writing)
        signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        for number in WATCHED:
            signal.signal(number, self._on_signal)
        return reading

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._received.append(number)

    def _supervise(self, wake: socket.socket) -> None:
        while not self._exit_code:
            ready = wait([wake], self._until_next_restart_s())
            if ready:
                wake.recv(4096)
            received, self._received = self._received, []
            if any(number in STOPPING for number in received):
                return
            if signal.SIGHUP in received:
                self._forward(signal.SIGHUP)
            if signal.SIGUSR2 in received:
                self._replacement.ask()
            if self._replacement.step(self._children):
                self._publish()
            self._mend()

    def _until_next_restart_s(self) -> float:
        if self._replacement.under_way:
            return _REPLACING_WAIT_S
        due = [child.restart_at for child in self._children if child.restart_at is not None]
        return min(LONGEST_WAIT_S, max(0.0, min(due) - time.monotonic())) if due else LONGEST_WAIT_S

    def _mend(self) -> None:
        """Notice deaths, and restart what is due."""
        changed = False
        for child in self._children:
            code = child.reap()
            if code is not None:
                changed = True
                self._note_death(child, code)
            if child.restart_at is not None and child.restart_at <= time.monotonic() and not self._exit_code:
                child.start()
                changed = True
        if changed:
            self._publish()

    def _note_death(self, child: Child, code: int) -> None:
        if code == CONFIG_EXIT_CODE:
            log.error("a configuration that cannot work: stopping", child=child.spec.name)
            self._exit_code = CONFIG_EXIT_CODE
        else:
            log.warning("ended: will be restarted", child=child.spec.name, exit_code=code, restarts=child.restarts)

    def _is_serving(self, child: Child, since: int) -> bool:
        """A worker notes in its counters when it began to serve; what stood there before is of an earlier one."""
        index = child.spec.assignment.index
        found = [one for one in read_all(self._settings.data_dir) if one.index == index]
        return bool(found and found[0].values["started_ms"] >= since)

    def _publish(self) -> None:
        write_state(self._settings.data_dir, self.state(), role=self._role)

    def _forward(self, number: int) -> None:
        for child in self._children:
            child.signal(number)

    def _stop(self) -> None:
        # Closed first: a client that connects from now on is refused at once instead of waiting for nobody.
        self._listeners.close()
        everybody = [*self._children, *self._replacement.others()]
        for order in sorted({child.spec.stop_order for child in everybody}):
            group = [child for child in everybody if child.spec.stop_order == order]
            for child in group:
                child.signal(signal.SIGTERM)
            self._wait_for(group, time.monotonic() + self._settings.monitor.stop_timeout_s)

    def _wait_for(self, group: list[Child], deadline: float) -> None:
        for child in group:
            impatient = False
            while not child.wait(0.2):
                impatient = impatient or any(number in STOPPING for number in self._received)
                if impatient or time.monotonic() >= deadline:
                    child.kill()


def _spec(part: str, assignment: Assignment, *, numbered: bool) -> ChildSpec:
    if part == "redirect":
        name = f"redirect-{assignment.index}" if numbered else part
        return ChildSpec(name=name, module="app.redirect_process", assignment=assignment)
    return ChildSpec(name=part, module="app.monitor_process", assignment=assignment, stop_order=1)


def _prepare_control(settings: Settings) -> Path | None:
    """Bring the control database up to date before any child opens it; the admin key's path when one was made now."""
    engine = open_control(settings.control.url, settings.data_dir)
    try:
        return KeyRing(engine).ensure_admin_key(settings.data_dir)
    finally:
        engine.dispose()


def addresses(settings: Settings, parts: list[str]) -> list[Address]:
    """Every address the parts listen on."""
    redirect, monitor = settings.redirect, settings.monitor
    known = [
        Address(name="redirect", host=redirect.host, port=redirect.port, setting="redirect.port"),
        Address(name="monitor", host=monitor.host, port=monitor.port, setting="monitor.port"),
        Address(name="otlp", host=monitor.otlp_host, port=monitor.otlp_port, setting="monitor.otlp_port"),
        Address(name="read", host="127.0.0.1", port=settings.store.read_port, setting="store.read_port"),
    ]
    if monitor.public_port is not None:
        setting = "monitor.public_port"
        known.append(Address(name="public", host=monitor.public_host, port=monitor.public_port, setting=setting))
    wanted = {name for part in parts for name in SOCKETS[part]}
    return [address for address in known if address.name in wanted]
