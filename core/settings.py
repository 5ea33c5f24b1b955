"""Settings machinery: file, then environment, then secret files; every problem reported at once.

Each part keeps its own section (fields, defaults, validation) in a `config.py` beside the code it steers; `app.settings` puts the
sections together. A field `redirect.port` of the file is also `CLICKTRACE_REDIRECT__PORT`; any field may be read from a file with
`…_FILE`, which is how secrets come in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import SettingsError

PREFIX = "CLICKTRACE_"
Model = TypeVar("Model", bound=BaseModel)


class Section(BaseModel):
    """Base of every settings section: unknown fields are a problem, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True)


class JournalConfig(Section):
    """The append-only journal (`core.journal`)."""

    fsync_interval_ms: int = Field(
        100, ge=0, description="While dirty, fsync at least this often; 0 answers after fsync."
    )
    segment_max_bytes: int = Field(64 * 2**20, ge=2**16, description="A segment rotates at this size.")
    segment_max_age_s: int = Field(300, ge=1, description="A segment rotates at this age.")
    ring_max_bytes: int = Field(
        64 * 2**20, ge=2**16, description="Memory kept for clicks while the disk refuses writes."
    )
    keep_days: int = Field(35, ge=1, description="Sealed segments are kept this long; rebuild promises this span.")


class StoreConfig(Section):
    """The event store: chDB in the process, or a ClickHouse server when `url` is set."""

    url: str = Field(
        "", description="ClickHouse server, e.g. https://user@host:8443/clicktrace; empty = embedded chDB."
    )
    password: str = Field("", description="Password of the ClickHouse user.", repr=False)
    max_query_seconds: float = Field(30.0, gt=0, description="A query that runs longer is stopped.")
    max_query_memory_bytes: int = Field(4 * 2**30, ge=2**26, description="Memory one query may use.")
    read_port: int = Field(
        8123, ge=0, le=65535, description="Read-only ClickHouse protocol on loopback; 0 = any free port."
    )


class ControlConfig(Section):
    """The control database: SQLite in the data directory, or PostgreSQL when `url` is set."""

    url: str = Field("", description="SQLAlchemy URL, e.g. postgresql+psycopg://user@host/clicktrace; empty = SQLite.")


def data_path(data_dir: Path, *parts: str) -> Path:
    """A path below the data directory, its parent made when missing."""
    path = data_dir.joinpath(*parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def load(model: type[Model], *, file: Path | None, environ: Mapping[str, str] | None = None) -> Model:
    """Read `model` from a YAML file and the environment.

    Args:
        model: the composed settings type.
        file: configuration file, or None when there is none. A named file must exist.
        environ: defaults to the process's environment.

    Raises:
        SettingsError: with every problem found, each naming its field.
    """
    env = os.environ if environ is None else environ
    problems: list[str] = []
    looked_in = [str(file) if file else "no file", f"environment {PREFIX}*"]
    values = _read_file(file, problems) if file else {}
    _overlay(values, model, env, problems)
    try:
        loaded = model.model_validate(values)
    except ValidationError as error:
        problems += [f"{'.'.join(str(p) for p in e['loc']) or 'settings'}: {e['msg']}" for e in error.errors()]
    if problems:
        raise SettingsError(problems, looked_in=looked_in)
    return loaded


def _read_file(file: Path, problems: list[str]) -> dict[str, Any]:
    try:
        values = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        problems.append(f"{file}: {error.strerror}")
        return {}
    except yaml.YAMLError as error:
        problems.append(f"{file}: not YAML: {error}")
        return {}
    if values is None:
        return {}
    if not isinstance(values, dict):
        problems.append(f"{file}: expected a mapping of sections, found {type(values).__name__}")
        return {}
    return values


def _overlay(values: dict[str, Any], model: type[BaseModel], env: Mapping[str, str], problems: list[str]) -> None:
    """Lay CLICKTRACE_A__B over values["a"]["b"]; lists and objects are written as YAML or JSON."""
    own = {"CLICKTRACE_CONFIG", "CLICKTRACE_URL", "CLICKTRACE_KEY"}  # read by the command line, not settings
    for name, text in sorted(env.items()):
        if not name.startswith(PREFIX) or name in own:
            continue
        path = name[len(PREFIX) :].lower().split("__")
        if path[-1].endswith("_file") and _annotation(model, path) is None:
            path[-1] = path[-1].removesuffix("_file")
            try:
                text = Path(text).read_text("utf-8").strip()
            except OSError as error:
                problems.append(f"{name}: cannot read {text}: {error.strerror}")
                continue
        annotation = _annotation(model, path)
        if annotation is None:
            problems.append(f"{name}: there is no setting {'.'.join(path)}")
            continue
        _assign(values, path, text if annotation is str else _yaml_scalar(text))


def _annotation(model: type[BaseModel], path: list[str]) -> Any | None:
    """The declared type of a field by its path, or None when there is no such field."""
    current: Any = model
    for part in path:
        fields = getattr(current, "model_fields", None)
        if fields is None or part not in fields:
            return None
        current = fields[part].annotation
    return current


def _yaml_scalar(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _assign(values: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        nested = values.setdefault(part, {})
        if not isinstance(nested, dict):
            return
        values = nested
    values[path[-1]] = value
