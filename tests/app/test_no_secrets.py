"""What we sign in with is said nowhere: in no log line, error, answer, metric, file of ours or URL, whatever a vendor does."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY, generate_latest

from app import doctor
from app.doctor_sources import sources
from app.settings import Settings, load_settings
from collectors.config import CollectorsConfig
from core import retry
from core.errors import SourceError
from core.vendors.config import AccountConfig
from tests.collectors.every_source import Parts, World, secrets_of, settings_of
from tests.collectors.sandboxes.cases import CASES, build_case, case_type
from tests.collectors.sandboxes.parrot import Parrot, port_of, secrets_in
from tests.uploads.events import event
from tests.uploads.sandboxes.google_data_manager import DataManagerSandbox
from tests.uploads.sandboxes.meta_conversions import MetaConversionsSandbox
from uploads.base import Destination, Refused
from uploads.registry import DESTINATIONS, build_destinations

VENDOR = "vendor"
#: Sources that sign in; a synthetic check does not.
SOURCES = sorted(name for name in CASES if case_type(name).vendor)
PLATFORMS: dict[str, Any] = {"google_data_manager": DataManagerSandbox, "meta_conversions": MetaConversionsSandbox}


class Said:
    """Everything that came out of us while a vendor was well and while it was not."""

    def __init__(self, folder: Path, caplog: Any, capfd: Any) -> None:
        self._folder, self._caplog, self._capfd = folder, caplog, capfd
        self._words: list[str] = []

    def add(self, *said: object) -> None:
        self._words += [msgspec.json.encode(one).decode() if isinstance(one, list) else repr(one) for one in said]

    def everything(self) -> str:
        """Lines of the libraries below stand in it as well: the HTTP client's name each URL."""
        ours = [path for path in self._folder.rglob("*") if path.is_file() and VENDOR not in path.parts]
        files = [path.read_bytes().decode("utf-8", "replace") for path in ours]
        return "".join(
            [*self._words, *files, self._caplog.text, *self._capfd.readouterr(), generate_latest(REGISTRY).decode()]
        )


@pytest.fixture
def said(tmp_path: Path, caplog: Any, capfd: Any, monkeypatch: pytest.MonkeyPatch) -> Said:
    """Vendors have a folder of their own, with the credentials; whatever else lies beside it is ours."""
    caplog.set_level(logging.INFO)
    monkeypatch.setitem(retry.call.__kwdefaults__ or {}, "sleep", lambda _seconds: None)
    return Said(tmp_path, caplog, capfd)


def installation(tmp_path: Path, **sections: Any) -> Settings:
    settings = load_settings(None, environ={"CLICKTRACE_DATA_DIR": str(tmp_path / "data")})
    return settings.model_copy(update=sections)


@pytest.fixture
def world(request: Any, tmp_path: Path, journal: Any, control: Any, clock: Any) -> Iterator[World]:
    case = build_case(request.param, tmp_path / VENDOR, clock)
    case.start()
    world = World(case, Parts(journal, control, None, clock), journaled=list)
    yield world
    world.runner.stop()
    case.stop()


@pytest.mark.parametrize("world", SOURCES, indirect=True)
def test_no_credential_of_a_source_is_said_anywhere(world: World, tmp_path: Path, said: Said) -> None:
    case, known = world.case, secrets_of(world.case)
    assert known
    config = settings_of(case)
    settings = installation(
        tmp_path,
        collectors=CollectorsConfig.model_validate({config.section: config.values}),
        accounts=[AccountConfig.model_validate(account) for account in config.accounts],
    )

    def look() -> str:
        world.run(after_s=7200)
        said.add(sources(settings, None), doctor._accounts(settings, None), world.status, settings)
        return world.state

    world.add(7, ago_h=5)
    states = [look()]
    case.behaviour.garbage = 10_000
    states.append(look())
    case.behaviour.garbage = 0
    case.behaviour.outage = True
    states.append(look())
    case.behaviour.outage = False
    case.lock_out()
    states.append(look())
    case.let_in()
    heard: set[str] = set()
    if "://" in case.endpoint:  # gRPC has no words of another server
        case.stop()
        with Parrot(port=port_of(case.endpoint)) as parrot:
            world.restart()  # a kept connection would still lead to the vendor
            states.append(look())
        heard = parrot.heard
        assert heard
    assert states[0] == "complete"
    assert "complete" not in states[2:]  # GitHub may have nothing to say that could be cut
    found = said.everything()
    assert case.section.partition(".")[0] in found
    assert [secret for secret in known | heard if secret in found] == []


@pytest.mark.parametrize("kind", DESTINATIONS)
def test_no_credential_of_a_destination_is_said_anywhere(kind: str, tmp_path: Path, clock: Any, said: Said) -> None:
    sandbox = PLATFORMS[kind](tmp_path / VENDOR, clock=clock)
    target = {"google_data_manager": "7001", "meta_conversions": "Purchase"}[kind]
    connection = {
        "name": "shop", "enabled": True, "endpoint": "", "credentials_file": str(sandbox.credentials_file),
        "conversions": [{"type": "order", "target": target}],
        **({"account": sandbox.account} if kind == "google_data_manager" else {"dataset": sandbox.dataset}),
    }  # fmt: skip
    sandbox.start()
    connection["endpoint"] = sandbox.endpoint
    uploads = Settings().uploads.model_validate({"enabled": True, kind: {"connections": [connection]}})
    settings = installation(tmp_path, uploads=uploads)
    (destination,) = build_destinations(uploads)
    known = secrets_in([sandbox.credentials_file])
    assert known

    def look() -> bool:
        said.add(doctor._uploads(settings, None), settings, destination.config)
        return _sent(destination, target, said)

    worked = [look()]
    sandbox.behaviour.garbage = 10_000
    worked.append(look())
    sandbox.stop()
    with Parrot(port=port_of(sandbox.endpoint)) as parrot:
        worked.append(look())
    destination.close()
    assert worked == [True, False, False]
    assert parrot.heard
    found = said.everything()
    assert kind in found
    assert [secret for secret in known | parrot.heard if secret in found] == []


def _sent(destination: Destination, target: str, said: Said) -> bool:
    name = destination.id_names[0]
    try:
        said.add(destination.send([event(target=target, name=name)], deadline_s=5))
    except (SourceError, Refused) as error:
        said.add(error, error.detail)
        return False
    return True
