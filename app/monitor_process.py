"""The monitor: shipper, collectors, correlator, alerts, HTTP API and console in one process, as `app.up` starts it.

The roles `ship` and `ingest` are the same process with fewer parts (`app.parts.ROLES`).
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import sys

import structlog
import uvloop

from app import logs
from app.failures import sentence
from app.lifecycle import CONFIG_EXIT_CODE, inherited, receive_assignment
from app.monitor import Monitor
from app.serving import Servers
from app.settings import Settings
from core.errors import ClicktraceError, SettingsError

log = structlog.get_logger(__name__)


def main() -> None:
    assignment = receive_assignment()
    settings: Settings = pickle.loads(assignment.settings)  # noqa: S301 - written by our own supervisor into a private pipe
    telemetry = settings.telemetry
    logs.configure(level=telemetry.log_level, form=telemetry.log_format, process=assignment.role)
    sockets = {name: inherited(descriptor) for name, descriptor in assignment.sockets.items()}
    try:
        uvloop.run(serve(settings, role=assignment.role, sockets=sockets))
    except SettingsError as error:
        log.error(str(error))
        sys.exit(CONFIG_EXIT_CODE)
    except Exception as error:  # what stands outside of the program is told in a sentence, a bug in full
        said = str(error) if isinstance(error, ClicktraceError) else sentence(error)
        if not said:
            raise
        log.error("monitor cannot run", reason=said)
        sys.exit(1)


async def serve(settings: Settings, *, role: str, sockets: dict[str, socket.socket]) -> None:
    """Run until a signal to stop: build, start, serve, stop. Building and stopping block, so they run in a thread."""
    monitor = await asyncio.to_thread(Monitor, settings, role=role)
    try:
        servers = Servers(monitor.sites(sockets))
        monitor.start()
        log.info("monitor ready", role=role)
        await servers.run()
    finally:
        await asyncio.to_thread(monitor.stop)
        log.info("monitor stopped", role=role)


if __name__ == "__main__":
    main()
