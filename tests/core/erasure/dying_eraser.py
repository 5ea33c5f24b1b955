"""Lives of a process that erases a person and kills itself with SIGKILL before a change to anything that is kept. Run by test_killed_eraser.

python -m tests.core.erasure.dying_eraser FOLDER [CHANGE …]

With changes: one installation, and every life dies at one of them that none before it died at. Without: a fresh copy of the installation for each
single change there is. Prints one JSON object; the last life of each installation runs through.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import zstandard
from sqlalchemy import Engine, event

from core.control.checkpoints import Checkpoints
from core.control.engine import open_control
from core.erasure.eraser import Eraser
from core.erasure.identifiers import subject
from core.journal.admin import verify
from core.journal.segment import list_segments
from core.journal.writer import JournalWriter
from core.records import Kinds
from core.settings import JournalConfig, StoreConfig
from core.shipper import Shipper
from core.store.client import Store, open_store
from correlator.config import CorrelatorConfig
from correlator.engine import Correlator
from tests.core.erasure.people import ANNA, BEN, HOUR, SECRETS, TS, annas, bens, in_control

NOW = TS + 5 * HOUR
_WRITES = re.compile(r"\s*(INSERT INTO|UPDATE|DELETE FROM|ALTER TABLE|TRUNCATE TABLE|PRAGMA wal_checkpoint)\s*(\w*)")
#: Everything Ben has, in tables that people read and in derived ones.
BENS = (
    "SELECT * EXCEPT matched_at FROM conversion_match FINAL WHERE fact_id LIKE '%:170'",
    "SELECT * FROM conversion WHERE order_id = '170'",
    "SELECT * FROM conversion_key WHERE fact_id LIKE '%:170' ORDER BY ALL",
    f"SELECT * FROM click WHERE visitor_id = unhex('{BEN}') ORDER BY hit_id",
    f"SELECT * FROM touch WHERE visitor_id = unhex('{BEN}')",
    "SELECT * FROM upload WHERE event_id = '170'",
)

Before = Callable[[str], None]


class Dying:
    """A store that says before every statement what it is about to change."""

    def __init__(self, store: Store, before: Before) -> None:
        self._store, self._before = store, before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def command(self, sql: str, params: Mapping[str, object] | None = None) -> None:
        self._before("store " + _kind(sql))
        self._store.command(sql, params)


class House:
    """One process's hold on the installation in a folder."""

    def __init__(self, home: Path, *, before: Before = lambda change: None) -> None:
        self.home = home
        self.store = open_store(StoreConfig(), home)
        self.control = open_control("", home, migrate=not (home / "control.sqlite").exists())
        self.journal = JournalWriter(home / "journal", config=JournalConfig(), clock=lambda: NOW, name="monitor")
        self.shipper = Shipper(self.store, self.control, home / "journal", config=JournalConfig(), clock=lambda: NOW)
        told = Dying(self.store, before)
        self.eraser = Eraser(
            told, self.control, home / "journal", self.journal, node="here", paused=self.shipper.paused, clock=lambda: NOW  # type: ignore[arg-type] # a store in all it is asked
        )  # fmt: skip

    def ship(self) -> None:
        while self.shipper.run_once().ranges:
            pass

    def correlate(self) -> None:
        config = CorrelatorConfig()
        Correlator(self.store, self.journal, Checkpoints(self.control, "correlator"), config=config).tick(NOW)

    def close(self) -> None:
        self.journal.close()
        self.store.close()
        self.control.dispose()


def build(home: Path) -> str:
    """Anna and Ben in segments of both forms, the store with what is derived, the control database; Anna's erasure is asked for. What Ben has."""
    house = House(home)
    for at, records in enumerate((annas(), bens()), start=TS):
        past = JournalWriter(home / "journal", config=JournalConfig(), clock=lambda at=at: at, name="past")  # type: ignore[misc] # a clock
        past.append_many(records)
        past.close()
    house.ship()
    house.correlate()
    in_control(house.control)
    assert [one.compressed for one in list_segments(home / "journal")][:2] == [True, False], (
        "the shipper packs one a minute"
    )
    house.eraser.ask(subject("visitor_id", ANNA), by="someone")
    bens_before = ben(house)
    house.close()
    return bens_before


def live(home: Path, *, wanted: Collection[str] = (), after: int = 0) -> None:
    """Erase; die before the first change that is one of the wanted, or before the `after`-th of all. Runs through when there is none."""
    seen = 0

    def before(change: str) -> None:
        nonlocal seen
        seen += 1
        if seen == after or change in wanted:
            _note(home, change)
            os.kill(os.getpid(), signal.SIGKILL)

    house = House(home, before=before)
    house.ship()
    _tell_of_database(house.control, before)
    _tell_of_files(before)
    house.eraser.run_once(NOW)
    os._exit(0)


def look(home: Path) -> dict[str, object]:
    """What the next life finds and finishes; everything that is left of Anna anywhere."""
    house = House(home)
    house.ship()
    house.eraser.run_once(NOW)
    (done,) = house.eraser.audit.all()
    (here,) = done.nodes
    proof = here.proof
    agrees = verify(home / "journal", house.store, house.control).ok
    kinds = {kind: house.store.rows(f"SELECT count() AS n FROM {kind}")[0]["n"] for kind in Kinds.BY_NAME}
    found = {
        "state": done.state,
        "clean": proof is not None and proof.clean,
        "agrees": agrees,
        "rows": {
            kind: int(str(count)) for kind, count in kinds.items() if count and kind not in ("watermark", "baseline")
        },
        "ben": ben(house),
    }
    house.close()
    return {**found, "left": left(home)}


def ben(house: House) -> str:
    """A digest of everything that is kept of Ben."""
    in_store = [house.store.rows(sql) for sql in BENS]
    with house.control.connect() as connection:
        rows = [
            str(connection.exec_driver_sql(f"SELECT * FROM {table} WHERE {condition}").all())
            for table, condition in (
                ("uploads", "upload_id = '170'"),
                ("postback_lives", "key_sha256 LIKE '%170'"),
                ("dead_letters", "o = 900"),
            )
        ]
    return sha256(repr((in_store, rows)).encode()).hexdigest()


def left(home: Path) -> list[str]:
    """Which of Anna's values stand in journal or control database, whatever form the file has."""
    files = [path for path in (home / "journal").iterdir() if path.is_file()]
    data = b"".join(_unpacked(path) for path in files) + (home / "control.sqlite").read_bytes()
    return [secret for secret in SECRETS if secret.encode() in data]


def _unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    return data + (zstandard.ZstdDecompressor().decompress(data) if path.suffix == ".zst" else b"")


def _tell_of_database(control: Engine, before: Before) -> None:
    def statement(_connection: Any, _cursor: Any, text: str, *_rest: Any) -> None:
        if _WRITES.match(text):
            before("control " + _kind(text))

    event.listen(control, "before_cursor_execute", statement)
    event.listen(control, "commit", lambda _connection: before("control COMMIT"))


def _tell_of_files(before: Before) -> None:
    def told(real: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            before("journal " + name)
            return real(*arguments, **options)

        return call

    for name in ("write", "fsync"):
        setattr(os, name, told(getattr(os, name), name))
    for name in ("rename", "unlink"):
        setattr(Path, name, told(getattr(Path, name), name))


def _kind(text: str) -> str:
    found = _WRITES.match(text)
    assert found, text
    return " ".join(filter(None, found.groups()))


def _note(home: Path, change: str) -> None:
    """Without the calls that are told of."""
    with (home / "died").open("a") as file:
        file.write(change + "\n")


def _died(home: Path) -> list[str]:
    return (home / "died").read_text().splitlines() if (home / "died").exists() else []


def forked(work: Callable[[], object]) -> tuple[bool, Any]:
    """(whether it was killed, what it returned): in a child, since one process opens the engine in one folder."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        answer = json.dumps(work()).encode()
        os.write(writer, answer)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        answer = file.read()
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "a life ended otherwise than by a kill"
    return os.WIFSIGNALED(status), json.loads(answer) if answer else None


def chain(home: Path, changes: Sequence[str]) -> dict[str, object]:
    while forked(lambda: live(home, wanted=set(changes) - set(_died(home))))[0]:
        pass
    return {"died": _died(home), **forked(lambda: look(home))[1]}


def every(home: Path) -> Iterator[dict[str, object]]:
    first = home.with_name("first")
    shutil.copytree(home, first, symlinks=True)
    after, killed = 0, True
    while killed:
        after += 1
        shutil.rmtree(home)
        shutil.copytree(first, home, symlinks=True)  # to the same place: the engine's own links are absolute
        killed, _ = forked(partial(live, home, after=after))
        yield {"died": _died(home), **forked(lambda: look(home))[1]}


def main(home: Path, changes: Sequence[str]) -> None:
    _, before = forked(lambda: build(home))
    lives = [chain(home, changes)] if changes else list(every(home))
    print(json.dumps({"before": before, "lives": lives}))


if __name__ == "__main__":
    main(Path(sys.argv[1]) / "here", sys.argv[2:])
