"""What was loaded since a step last looked, in whatever order it arrived: claimed history, late segments, other machines."""

from __future__ import annotations

import msgspec

from core.control.checkpoints import Checkpoints
from core.store.client import Store

#: A block's loading time is stamped before its rows can be read, so what was stamped up to this long before the last look is looked at
#: again. Steps are idempotent; the overlap costs them a few seconds' rows.
OVERLAP_MS = 20_000


class Front(msgspec.Struct, frozen=True, kw_only=True):
    """Loading time of the newest block of clicks or conversions (0: none yet), and when that was read; ms, the store's clock."""

    newest: int
    read_at: int


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """How far a step has looked in one particular store, by which rules."""

    store_id: str = ""
    rules: str = ""
    loaded_at: int = 0
    looked_at: int = 0

    def since(self, front: Front, *, store_id: str, rules: str = "") -> int | None:
        """From which loading time on to look, or None when everything has been seen."""
        # A wiped store is another store, and other rules may judge old rows otherwise: all of it is new.
        if (self.store_id, self.rules) != (store_id, rules):
            return 0 if front.newest else None
        settled = self.looked_at > self.loaded_at + OVERLAP_MS
        return None if front.newest <= self.loaded_at and settled else max(0, self.loaded_at - OVERLAP_MS)


class Arrivals:
    """Each step's place in the stream of loaded blocks."""

    def __init__(self, store: Store, checkpoints: Checkpoints) -> None:
        self._store = store
        self._checkpoints = checkpoints

    def front(self) -> Front:
        rows = self._store.rows(
            "SELECT toUnixTimestamp64Milli(max(loaded_at)) AS newest, toUnixTimestamp64Milli(now64(3)) AS read_at FROM arrival"
        )
        return msgspec.convert(rows[0], Front)

    def since(self, step: str, front: Front, *, rules: str = "") -> int | None:
        """From which loading time on `step` has to look, or None when it has seen everything."""
        kept = self._checkpoints.get(f"arrivals:{step}")
        looked = msgspec.json.decode(kept, type=Looked) if kept else Looked()
        return looked.since(front, store_id=self._store.store_id, rules=rules)

    def looked(self, step: str, front: Front, *, rules: str = "") -> None:
        """Remember that `step` is done with everything up to `front`."""
        state = Looked(store_id=self._store.store_id, rules=rules, loaded_at=front.newest, looked_at=front.read_at)
        self._checkpoints.put(f"arrivals:{step}", msgspec.json.encode(state))
