"""All Prometheus metrics of the alerts part. Labels come from closed lists and rule names; never an incident, campaign or action ID."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

STAGE_SECONDS = Histogram(
    "clicktrace_alerts_stage_duration_seconds",
    "Duration of one stage of the alerts pipeline in one tick.",
    ["stage"],
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60),
)
LAST_TICK = Gauge("clicktrace_alerts_last_tick_timestamp_seconds", "When the pipeline last completed a tick.")
RULE_EVALUATIONS = Counter(
    "clicktrace_rule_evaluations_total", "Evaluations of rules, by what came out.", ["rule", "outcome"]
)
RULE_HOLDS = Counter("clicktrace_rule_holds_total", "Evaluations held back by a data gate.", ["rule", "reason"])
RULES_FIRING = Gauge("clicktrace_rule_firing", "Subjects a rule fires on now.", ["rule"])
NOTIFICATIONS = Counter(
    "clicktrace_notifications_total", "Alerts sent, by notifier and why.", ["notifier", "reason", "outcome"]
)
ACTIONS = Counter("clicktrace_actions_total", "Transitions of actions, by state and reason word.", ["state", "reason"])
ACTION_ERRORS = Counter(
    "clicktrace_action_step_errors_total", "Steps of actions that ended in an unexpected error.", ["step"]
)
GUARD_FINDINGS = Counter(
    "clicktrace_guard_findings_total", "Guards that asked for people or refused.", ["guard", "reason"]
)
OPEN_QUESTIONS = Gauge("clicktrace_actions_awaiting", "Actions that wait for a person.")
OPEN_LEASES = Gauge("clicktrace_pause_leases_open", "Campaigns that we hold paused.")
