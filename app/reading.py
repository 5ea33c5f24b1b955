"""Opens the event store for a command: through the running monitor's read-only protocol, else directly.

The embedded engine can be opened by one process only, so a command beside a running monitor asks the monitor.
"""

from __future__ import annotations

from app.run_state import running
from app.settings import Settings
from core.store.client import Store, connector, open_store


def open_reader(settings: Settings) -> Store:
    """A store to read from, whoever holds the engine.

    Raises:
        StoreError: not reachable.
    """
    state = running(settings.data_dir)
    if settings.store.url or state is None or "read" not in state.ports:
        return open_store(settings.store, settings.data_dir)
    through = settings.store.model_copy(
        update={"url": f"http://127.0.0.1:{state.ports['read']}/default", "password": ""}
    )
    return Store(connector(through, settings.data_dir), database="default")
