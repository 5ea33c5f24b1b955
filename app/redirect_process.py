"""One redirect worker, as `app.up` starts it: takes its assignment and serves until SIGTERM."""

from __future__ import annotations

import pickle
import signal

from app import logs
from app.lifecycle import inherited, receive_assignment
from app.settings import Settings
from core.control.engine import control_url
from redirect.worker import run_worker


def main() -> None:
    assignment = receive_assignment()
    settings: Settings = pickle.loads(assignment.settings)  # noqa: S301 - written by our own supervisor into a private pipe
    logs.configure(
        level=settings.telemetry.log_level,
        form=settings.telemetry.log_format,
        process=f"redirect-{assignment.index}",
    )
    # The worker notices a changed certificate by itself; left alone, the signal would end it.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    run_worker(
        sockets=[inherited(assignment.sockets["redirect"])],
        config=settings.redirect,
        data_dir=settings.data_dir,
        control_url=control_url(settings.control.url, settings.data_dir),
        index=assignment.index,
        journal=settings.journal,
    )


if __name__ == "__main__":
    main()
