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
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from core.errors import SettingsError
from core.near import nearest
from core.settings_problems import MOST_ELSEWHERE, leaves, sentences
from core.yaml_file import Where, YamlFile, read_yaml

PREFIX = "CLICKTRACE_"
FILE_SUFFIX = "_file"
#: What the drivers that come with the product understand.
STORE_SCHEMES = ("http://", "https://", "clickhouse://", "clickhouses://")
CONTROL_SCHEMES = ("postgresql+psycopg://", "postgresql://", "sqlite://")
#: Read by the command line; no settings.
OWN_VARIABLES = frozenset({"CLICKTRACE_CONFIG", "CLICKTRACE_URL", "CLICKTRACE_KEY"})
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

    @field_validator("url")
    @classmethod
    def _of_a_server(cls, value: str) -> str:
        return _address(value, STORE_SCHEMES, "https://user@host:8443/clicktrace")


#: Of a number of days: for good.
FOREVER = 0


class RetentionConfig(Section):
    """How long the store keeps facts about people, and what machines measure, in days of event time; 0 = for good. The raw journal has `journal.keep_days`."""

    click: int = Field(0, ge=0, description="Hits, with the click IDs, visitor IDs and truncated networks in them.")
    touch: int = Field(400, ge=0, description="Events of the page snippet.")
    impression: int = Field(400, ge=0, description="Impressions.")
    conversion: int = Field(
        0, ge=0, description="Leads and orders in all their versions, and what they were matched to."
    )
    span: int = Field(90, ge=0, description="Spans of paid clicks.")
    platform_click: int = Field(0, ge=0, description="What platforms say their clicks belong to.")
    upload: int = Field(400, ge=0, description="What became of conversions that were reported to platforms.")
    service: int = Field(400, ge=0, description="Requests, errors and durations of services by the minute.")
    gauge: int = Field(400, ge=0, description="Readings of services, databases and queues.")
    check: int = Field(400, ge=0, description="Looks at the pages that links lead to.")
    canary: int = Field(400, ge=0, description="Our own clicks through every link.")
    reading: int = Field(400, ge=0, description="How the sources did, as their readers saw it.")

    def days(self) -> dict[str, int]:
        """Table -> days."""
        return {name: int(getattr(self, name)) for name in type(self).model_fields}

    def shorter_than(self, keep_days: int) -> list[str]:
        """Tables that would be kept for a shorter time than the raw journal, from which a rebuild fills them again."""
        return [name for name, days in self.days().items() if days != FOREVER and days < keep_days]


class ControlConfig(Section):
    """The control database: SQLite in the data directory, or PostgreSQL when `url` is set."""

    url: str = Field("", description="SQLAlchemy URL, e.g. postgresql+psycopg://user@host/clicktrace; empty = SQLite.")

    @field_validator("url")
    @classmethod
    def _of_a_database(cls, value: str) -> str:
        return _address(value, CONTROL_SCHEMES, "postgresql+psycopg://user@host/clicktrace")


def _address(value: str, schemes: tuple[str, ...], example: str) -> str:
    """The value, never shown: there may be a password in it."""
    if value and not value.startswith(schemes):
        raise ValueError(f"begins with none of {', '.join(schemes)}: write {example}, or leave it empty")
    return value


def data_path(data_dir: Path, *parts: str) -> Path:
    """A path below the data directory, its parent made when missing.

    Raises:
        SettingsError: it cannot be made.
    """
    path = data_dir.joinpath(*parts)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        mend = "choose a folder this user may write to, in data_dir or CLICKTRACE_DATA_DIR"
        raise SettingsError(
            [f"data_dir: {path.parent} cannot be made: {why}; {mend}"], looked_in=["settings"]
        ) from None
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
    looked_in = [str(file) if file else "no file", f"environment {PREFIX}*"]
    written = read_yaml(file, expected="sections such as `redirect:`") if file else YamlFile("no file")
    problems = list(written.problems)
    values = _without_empty(written.values, model)
    said = _overlay(values, model, env, problems)
    try:
        loaded = model.model_validate(values)
    except ValidationError as error:
        problems += sentences(error, model, lambda path: _said(said, path) or written.where(path))
    if problems:
        raise SettingsError(problems, looked_in=looked_in)
    return loaded


def _without_empty(values: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Without the sections of which a file has only the heading, as when every line below it is commented out."""
    kept: dict[str, Any] = {}
    for name, value in values.items():
        section = _annotation(model, [name])
        if isinstance(section, type) and issubclass(section, BaseModel):
            if value is None:
                continue
            value = _without_empty(value, section) if isinstance(value, dict) else value
        kept[name] = value
    return kept


def _overlay(
    values: dict[str, Any], model: type[BaseModel], env: Mapping[str, str], problems: list[str]
) -> dict[Where, str]:
    """Lay CLICKTRACE_A__B over values["a"]["b"]; lists and objects are written as YAML or JSON.

    Returns: the variable of each path that one has set.
    """
    said: dict[Where, str] = {}
    for name, text in sorted(env.items()):
        if not name.startswith(PREFIX) or name in OWN_VARIABLES:
            continue
        path = name[len(PREFIX) :].lower().split("__")
        if path[-1].endswith(FILE_SUFFIX) and _annotation(model, path) is None:
            path[-1] = path[-1].removesuffix(FILE_SUFFIX)
            if _annotation(model, path) is not None:
                try:
                    text = Path(text).read_text("utf-8").strip()
                except (OSError, ValueError) as error:
                    problems.append(f"{name}: {_unreadable(text, error)}")
                    continue
        annotation = _annotation(model, path)
        if annotation is None:
            problems.append(f"{name}: {_no_variable(name, path, model)}")
            continue
        _assign(values, path, text if annotation is str else _yaml_scalar(text))
        said[tuple(path)] = name
    return said


def _said(said: Mapping[Where, str], path: Where) -> str:
    """The variable that set a place or what is around it, or ""."""
    return next((said[path[:length]] for length in range(len(path), 0, -1) if path[:length] in said), "")


def _unreadable(text: str, error: OSError | ValueError) -> str:
    """Why a secret's file cannot be read. The name is shown only when it is surely one: people put the secret itself there."""
    named = (
        text if text.startswith(("/", "./", "../", "~")) else "the file it names (a path belongs here, not the secret)"
    )
    return f"cannot read {named}: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}"


def _no_variable(name: str, path: list[str], model: type[BaseModel]) -> str:
    """What to say of a variable that sets nothing."""
    for length in range(len(path) - 1, 0, -1):
        around = _annotation(model, path[:length])
        if around is not None and not hasattr(around, "model_fields"):
            whole = PREFIX + "__".join(path[:length]).upper()
            return f"{'.'.join(path[:length])} is one value: write the whole of it as YAML or JSON in {whole}"
    suffix = FILE_SUFFIX.upper() if name.upper().endswith(FILE_SUFFIX.upper()) else ""
    known = ["__".join(leaf) for leaf in leaves(model)]
    same = [each for each in known if each.endswith(f"__{path[-1]}")]
    near = nearest("__".join(path), known)
    meant = same if 0 < len(same) <= MOST_ELSEWHERE else [near] if near else []
    mean = f"did you mean {' or '.join(PREFIX + each.upper() + suffix for each in meant)}?"
    return f"there is no setting {'.'.join(path)}; {mean if meant else 'docs/configuration.md lists them all'}"


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
    except (yaml.YAMLError, ValueError):
        return text


def _assign(values: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        nested = values.setdefault(part, {})
        if not isinstance(nested, dict):
            return
        values = nested
    values[path[-1]] = value
