"""Settings of the Prometheus source: servers, and what is asked of them."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from collectors.source_config import ConnectionConfig, SourceConfig
from core.settings import Section

#: Prometheus answers at most this many points of a series (documentation, "Range queries").
MAX_POINTS = 11_000


class GaugeQuery(Section):
    """A query whose series become `gauge` records, one a step."""

    name: str = Field(min_length=1, max_length=256, description="Name of the gauge.")
    query: str = Field(min_length=1, description="PromQL; its value at the end of each step is kept.")
    service: str = Field("", description="Service it is about; empty = the label `service_label`.")
    service_label: str = Field("service", description="Label that names the service.")
    labels: tuple[str, ...] = Field((), description="Labels kept as attributes; empty = all, 32 at the most.")


class ServiceQueries(Section):
    """Queries whose series become `service` minutes. Each answers what happened within the minute before, as `increase(…[1m])` does."""

    requests: str = Field(min_length=1, description="PromQL: requests in a minute.")
    errors: str = Field("", description="PromQL: failed requests in a minute; empty = not known, none.")
    buckets: str = Field(
        "", description="PromQL: requests in a minute by `le`, from a histogram; empty = no durations."
    )
    duration_sum: str = Field("", description="PromQL: the sum of their durations in seconds.")
    service: str = Field("", description="Service it is about; empty = the label `service_label`.")
    service_label: str = Field("service", description="Label that names the service.")
    route_label: str = Field("route", description="Label that names the route.")
    version_label: str = Field("version", description="Label that names the version.")


class PrometheusConnection(ConnectionConfig):
    """One server that speaks Prometheus's HTTP API: Prometheus, Thanos, Mimir, VictoriaMetrics."""

    credentials_file: str = Field("", description="File with a bearer token, read at each use; empty = none.")
    basic_auth_file: str = Field("", description="File with `user:password`, read at each use; empty = none.")
    org_id: str = Field("", description="Sent as X-Scope-OrgID, where one server has several tenants.")
    step_s: int = Field(60, ge=1, le=3600, description="Time between two values of a gauge.")
    gauges: tuple[GaugeQuery, ...] = Field((), description="What becomes gauges.")
    services: tuple[ServiceQueries, ...] = Field((), description="What becomes service minutes.")
    max_series: int = Field(1_000, ge=1, description="Series of one query; more are refused, and named.")

    @field_validator("endpoint")
    @classmethod
    def _address(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("endpoint: the server's address, e.g. http://prometheus:9090")
        if "@" in value:
            raise ValueError("endpoint: no password in an address; use basic_auth_file")
        return value.rstrip("/")

    @model_validator(mode="after")
    def _asks_something(self) -> PrometheusConnection:
        if not self.gauges and not self.services:
            raise ValueError(f"{self.name}: name something to read in gauges or services")
        if self.credentials_file and self.basic_auth_file:
            raise ValueError(f"{self.name}: credentials_file or basic_auth_file, not both")
        twice = sorted({one.name for one in self.gauges if [each.name for each in self.gauges].count(one.name) > 1})
        if twice:
            raise ValueError(f"{self.name}: two gauges of the same name: {', '.join(twice)}")
        return self


class PrometheusConfig(SourceConfig):
    """Schedule of the reads. What is younger than the lag is left for the next read: scrapes of it may still be missing."""

    interval_s: float = Field(60.0, gt=0, description="Time between two reads.")
    documented_lag_s: int = Field(
        90, ge=0, description="Scrape interval and evaluation; the watermark stays this far behind."
    )
    recent_s: int = Field(600, ge=0, description="Every read goes back this far, for samples that came late.")
    backfill_s: int = Field(86_400, ge=0, description="How far back the very first read goes.")
    window_s: int = Field(6 * 3600, ge=3600, description="Longest span of event time in one request.")
    connections: tuple[PrometheusConnection, ...] = Field((), description="One entry a server.")
