"""All settings in one place: every part's section, read from `clicktrace.yaml` and the environment.

A section's fields, defaults and checks stand in the `config.py` beside the code it steers; this module only puts them together and
adds the sections of the top floor (monitor, telemetry).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator, model_validator

from alerts.config import AlertsConfig
from collectors.config import CollectorsConfig
from core.errors import SettingsError
from core.settings import ControlConfig, JournalConfig, RetentionConfig, Section, StoreConfig, load
from core.vendors.config import AccountConfig
from correlator.config import CorrelatorConfig
from correlator.detection.config import DetectionConfig
from redirect.config import RedirectConfig
from uploads.config import UploadsConfig

CONFIG_VARIABLE = "CLICKTRACE_CONFIG"
DEFAULT_FILE = Path("clicktrace.yaml")


class MonitorConfig(Section):
    """The monitor process: HTTP API, console, `/metrics`, OTLP receiver, and the intervals of its loops."""

    host: str = Field("127.0.0.1", description="Address of the HTTP API and console; loopback unless told otherwise.")
    port: int = Field(8080, ge=0, le=65535, description="Port of the HTTP API and console; 0 = any free port.")
    otlp_host: str = Field("127.0.0.1", description="Address of the OTLP/HTTP receiver.")
    otlp_port: int = Field(4318, ge=0, le=65535, description="Port of the OTLP/HTTP receiver; 0 = any free port.")
    public_host: str = Field("0.0.0.0", description="Address of the public listener.")  # noqa: S104 - off unless public_port is set
    public_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port that exposes only /api/v1/postback, /api/v1/hooks/* and /approve/*; empty = no such listener.",
    )
    tls_cert: str = Field("", description="Certificate chain (PEM) of the HTTP API, console and public listener.")
    tls_key: str = Field("", description="Private key (PEM) of `tls_cert`.")
    session_hours: float = Field(12.0, gt=0, description="How long a sign-in to the console lasts.")
    max_body_bytes: int = Field(16 * 2**20, ge=2**10, description="Largest request body, as sent.")
    ship_interval_s: float = Field(0.5, gt=0, description="The journal is shipped to the store this often.")
    lease_s: float = Field(
        30.0, ge=5, description="A standby takes over this long after the leader's last sign of life."
    )
    stop_timeout_s: float = Field(20.0, gt=0, description="A process that does not stop within this time is killed.")
    heartbeat_url: str = Field(
        "", description="Called with GET after every tick, so that an outside service notices when the monitor is gone."
    )

    @model_validator(mode="after")
    def _both_halves_of_tls(self) -> MonitorConfig:
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError("tls_cert and tls_key belong together: set both or none")
        return self


class TelemetryConfig(Section):
    """Logs, and the spans that are sent to an OpenTelemetry backend."""

    log_level: str = Field("info", pattern="^(debug|info|warning|error)$", description="Least severity that is logged.")
    log_format: str = Field(
        "auto", pattern="^(auto|console|json)$", description="`auto` = console on a terminal, JSON lines otherwise."
    )
    otlp_endpoint: str = Field(
        "", description="OTLP/HTTP endpoint that receives the spans of clicks, e.g. http://tempo:4318; empty = none."
    )
    sample_ratio: float = Field(1.0, ge=0, le=1, description="Share of clicks whose spans are exported, by click ID.")


class Settings(Section):
    """Everything that can be configured."""

    data_dir: Path = Field(Path("clicktrace-data"), description="Journal, store, control database and keys live here.")
    public_url: str = Field(
        "",
        description="Base of every link in a message, e.g. https://clicktrace.example.com; empty = the console's address.",
    )
    journal: JournalConfig = JournalConfig()
    store: StoreConfig = StoreConfig()
    retention: RetentionConfig = RetentionConfig()
    control: ControlConfig = ControlConfig()
    redirect: RedirectConfig = RedirectConfig()
    monitor: MonitorConfig = MonitorConfig()
    collectors: CollectorsConfig = CollectorsConfig()
    accounts: list[AccountConfig] = Field([], description="Accounts on ad platforms.")
    correlator: CorrelatorConfig = CorrelatorConfig()
    detection: DetectionConfig = DetectionConfig()
    alerts: AlertsConfig = AlertsConfig()
    uploads: UploadsConfig = UploadsConfig()
    telemetry: TelemetryConfig = TelemetryConfig()

    @property
    def console_url(self) -> str:
        """Where a person on this machine opens the console."""
        scheme = "https" if self.monitor.tls_cert else "http"
        everywhere = self.monitor.host in ("", "0.0.0.0", "::", "127.0.0.1", "::1")  # noqa: S104 - compared, not bound
        return f"{scheme}://{'localhost' if everywhere else self.monitor.host}:{self.monitor.port}"

    @field_validator("public_url")
    @classmethod
    def _absolute_url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError(f"{value!r} is not an address: begin it with https:// or http://")
        return value.rstrip("/")

    @field_validator("retention")
    @classmethod
    def _not_shorter_than_the_journal(cls, value: RetentionConfig, info: ValidationInfo) -> RetentionConfig:
        journal = info.data.get("journal", JournalConfig())
        short = value.shorter_than(journal.keep_days)
        if short:
            raise ValueError(
                f"{', '.join(short)} would be kept for a shorter time than the raw journal, which has them, too "
                f"(journal.keep_days is {journal.keep_days}): shorten that, or keep them longer"
            )
        return value

    @field_validator("accounts")
    @classmethod
    def _accounts_once(cls, value: list[AccountConfig]) -> list[AccountConfig]:
        seen = [f"{account.platform}:{account.account}" for account in value]
        twice = sorted({name for name in seen if seen.count(name) > 1})
        if twice:
            raise ValueError(f"listed more than once: {', '.join(twice)}")
        return value


def load_settings(file: Path | None = None, *, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `file`, else the file in CLICKTRACE_CONFIG, else `./clicktrace.yaml` when it exists; then the environment.

    Raises:
        SettingsError: with every problem found, each naming its field.
    """
    env = os.environ if environ is None else environ
    settings = load(Settings, file=config_file(file, environ=env), environ=env)
    return settings.model_copy(update={"data_dir": settings.data_dir.absolute()})


def with_ports(settings: Settings, ports: Mapping[str, int]) -> Settings:
    """The settings with the ports that were really bound, and `public_url` filled in with the console's address."""
    redirect = settings.redirect.model_copy(update={"port": ports.get("redirect", settings.redirect.port)})
    monitor = settings.monitor.model_copy(
        update={
            "port": ports.get("monitor", settings.monitor.port),
            "otlp_port": ports.get("otlp", settings.monitor.otlp_port),
            "public_port": ports.get("public", settings.monitor.public_port),
        }
    )
    store = settings.store.model_copy(update={"read_port": ports.get("read", settings.store.read_port)})
    bound = settings.model_copy(update={"redirect": redirect, "monitor": monitor, "store": store})
    return bound.model_copy(update={"public_url": bound.public_url or bound.console_url})


def config_file(file: Path | None = None, *, environ: Mapping[str, str] | None = None) -> Path | None:
    """The configuration file in force, or None."""
    env = os.environ if environ is None else environ
    if file is not None:
        return file
    if named := env.get(CONFIG_VARIABLE):
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def require_server(settings: Settings, command: str) -> None:
    """Refuse to run one part of a cluster on the embedded engine.

    Raises:
        SettingsError: the store is chDB.
    """
    if not settings.store.url:
        sentence = (
            f"store.url: more than one machine means the ClickHouse server and PostgreSQL: `clicktrace {command}` needs "
            "store.url, because the embedded engine (chDB) can be opened by one process only; use `clicktrace up` here"
        )
        raise SettingsError([sentence], looked_in=["settings"])
