"""Settings of the alerts part: where messages go, what may be written to an ad platform, and for how long."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from alerts.durations import Duration, duration
from core.clock import parse_rfc3339
from core.settings import Section

Mode = Literal["observe", "approve", "automatic"]

#: From the most careful to the boldest; a rule and the settings together give the more careful of the two.
MODES: tuple[Mode, ...] = ("observe", "approve", "automatic")


class MaintenanceWindow(Section):
    """A time in which nothing is paused by us, because a fault is expected."""

    start: str = Field(description="RFC 3339 with zone, e.g. 2026-11-20T22:00:00+01:00.")
    end: str = Field(description="RFC 3339 with zone; the window ends just before it.")
    campaigns: list[str] = Field(default=["*"], description="Qualified campaign IDs it covers; * stands for anything.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if parse_rfc3339(self.start) >= parse_rfc3339(self.end):
            raise ValueError("start must be before end")
        return self


class GuardsConfig(Section):
    """Limits that people set; every write to an ad platform passes all of them (`alerts.actions.guard`)."""

    allowed_campaigns: list[str] = Field(
        default=["*"],
        description="Qualified campaign IDs that may be written to, e.g. google:123:*; * stands for anything.",
    )
    allowed_verdicts: list[str] = Field(
        default=["site_failing", "redirect_failing"],
        description="A pause needs one of these verdicts, whatever a rule says.",
    )
    automatic_minimum_confidence: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="Below this posterior of the verdict a person is asked even in automatic mode.",
    )
    ask_when_pause_costs_more: bool = Field(
        default=True,
        description="Ask a person when pausing gives up more healthy traffic than it saves, even in automatic mode.",
    )
    conversions_silent: Duration = Field(
        default=duration("15m"),
        description="When no conversion of any kind arrived for this long, a person is asked: the feed may be dead.",
    )
    max_campaigns_per_hour: int = Field(
        default=20, ge=0, description="More campaigns than this paused within an hour need two approvers."
    )
    max_spend_share_per_hour: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Pausing more than this share of live spend within an hour needs two approvers.",
    )
    second_approver_above: float = Field(
        default=0.0, ge=0, description="Spend per hour of a campaign above which two people must approve; 0 = never."
    )
    cool_down: Duration = Field(
        default=duration("30m"),
        description="After a pause ended, a person is asked before the same campaign is paused again.",
    )
    maintenance_windows: list[MaintenanceWindow] = Field(default_factory=list)


class AlertsConfig(Section):
    """Rules, messages, approvals, pauses."""

    mode: Mode = Field(
        default="approve",
        description="observe: write down what would be done; approve: ask first; automatic: act, where guards allow.",
    )
    team: str = Field(default="ads", description="Label `team` of every alert.")
    rules_dir: str = Field(
        default="", description="Folder with your own rules; a rule with the name of a shipped one replaces it."
    )
    interval: Duration = Field(default=duration("10s"), description="How often rules are evaluated.")
    alertmanager_url: str = Field(default="", description="e.g. http://localhost:9093; empty = the built-in notifier.")
    alertmanager_token: str = Field(default="", repr=False, description="Bearer token for Alertmanager.")
    refresh: Duration = Field(
        default=duration("1m"), description="Alerts are re-sent this often and end by themselves after three."
    )
    webhook_url: str = Field(
        default="", description="Built-in notifier: receives Alertmanager's webhook form (version 4)."
    )
    apprise_urls: list[str] = Field(default_factory=list, repr=False, description="Built-in notifier: Apprise URLs.")
    repeat: Duration = Field(
        default=duration("4h"), description="Built-in notifier: an alert that goes on is told again after this."
    )
    runbook_url: str = Field(default="", description="Base of runbook links; empty = <public_url>/runbooks.")
    approval_expires: Duration = Field(
        default=duration("4h"), description="A question nobody answered ends after this."
    )
    lease: Duration = Field(
        default=duration("4h"), description="A pause ends by itself after this, unless its rule says otherwise."
    )
    lease_check: Duration = Field(
        default=duration("5m"), description="How often a paused campaign is read back to notice people's changes."
    )
    act_deadline: Duration = Field(
        default=duration("60s"), description="A write that is not confirmed by then is given up and told."
    )
    call_deadline: Duration = Field(
        default=duration("20s"), description="One call to an ad platform takes at most this long."
    )
    guards: GuardsConfig = Field(default_factory=GuardsConfig)
