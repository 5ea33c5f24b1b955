"""Opens the event store for a command: through the running monitor's read-only protocol, else directly.

The embedded engine can be opened by one process only, so a command beside a running monitor asks the monitor.
"""

from __future__ import annotations

from app.auth import ADMIN_KEY_FILE
from app.run_state import running
from app.settings import Settings
from core.errors import Unauthorized
from core.store.client import Store, open_store, protocol_connector


def open_reader(settings: Settings) -> Store:
    """A store to read from, whoever holds the engine.

    Raises:
        StoreError: not reachable.
        Unauthorized: `no_key`: the monitor runs and its admin key cannot be read.
    """
    state = running(settings.data_dir)
    if settings.store.url or state is None or "read" not in state.ports:
        return open_store(settings.store, settings.data_dir)
    url = f"http://127.0.0.1:{state.ports['read']}/default"
    return Store(protocol_connector(url, password=_admin_key(settings)), database="default")


def _admin_key(settings: Settings) -> str:
    path = settings.data_dir / ADMIN_KEY_FILE
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise Unauthorized("no_key", f"{path}: {error.strerror}: the running monitor asks for a read key") from None
