"""What a rule is. The YAML file's fields are these fields; an unknown one is a problem.

rule            its name, also of its file
owner, runbook  who answers for it, and the page that says what to do
watch           what it looks at: every incident, the redirect's closed windows, or every host that links lead to
scope           which campaigns, platforms, clients it is for
when            conditions on facts (`alerts.rules.facts`), nested all / any / not
for, window     how many complete windows in a row they must hold; of a destination, how many ticks
gates           what must be true of the *data* before an answer counts; a closed gate holds the rule, with its reason
campaigns       conditions on each campaign of the incident: those that pass are what a pause is for
steps           alert | investigate | pause | resume | webhook
mode            observe | approve | automatic; never bolder than the settings
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from alerts.config import Mode
from alerts.durations import Duration, duration
from core.records import Origin
from core.settings import Section

Scalar = bool | float | str
Severity = Literal["critical", "warning", "info"]
Watch = Literal["incident", "redirect", "destination"]

#: The comparisons a leaf condition may make, and the type of fact each is for.
NUMBER_OPERATORS = ("at_least", "above", "at_most", "below")
ANY_OPERATORS = ("equals", "one_of", "known")
OPERATORS = (*NUMBER_OPERATORS, *ANY_OPERATORS)


class RuleSection(Section):
    """A section whose YAML names may be words that Python keeps for itself (`not`, `for`)."""

    model_config = ConfigDict(populate_by_name=True)


class Condition(RuleSection):
    """Either all / any / not of other conditions, or one fact and one comparison."""

    all: list[Condition] | None = Field(default=None, min_length=1)
    any: list[Condition] | None = Field(default=None, min_length=1)
    not_: Condition | None = Field(default=None, alias="not")
    fact: str = ""
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    equals: Scalar | None = None
    one_of: list[Scalar] | None = Field(default=None, min_length=1)
    known: bool | None = None

    @property
    def operators(self) -> list[str]:
        """The comparisons that are set; exactly one in a leaf, none in a branch."""
        return [name for name in OPERATORS if getattr(self, name) is not None]

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        branches = [name for name in ("all", "any", "not_") if getattr(self, name) is not None]
        if len(branches) + bool(self.fact) != 1:
            raise ValueError("a condition is exactly one of all, any, not, or a fact")
        if self.fact and len(self.operators) != 1:
            raise ValueError(f"the fact {self.fact} needs exactly one of {', '.join(OPERATORS)}")
        if not self.fact and self.operators:
            raise ValueError(f"{self.operators[0]} needs a fact")
        return self


class RuleScope(RuleSection):
    """Patterns with *; a campaign is in scope when it matches one of each list."""

    campaigns: list[str] = Field(default=["*"])
    platforms: list[str] = Field(default=["*"])
    clients: list[str] = Field(default=["*"])


class SourceGate(RuleSection):
    """Every source that matches must be complete to within this of now, its documented lag allowed for.

    `{platform}` and `{account}` in the pattern make it a gate of each campaign instead of the whole rule.
    """

    match: str
    behind_at_most: Duration

    @property
    def per_campaign(self) -> bool:
        return "{" in self.match


class OriginGate(RuleSection):
    """Conversions of this origin arrived lately, from anywhere: a dead feed looks exactly like a total drop."""

    origin: Origin
    within: Duration


class Gates(RuleSection):
    """What the data must be like before the rule may fire."""

    minimum_clicks: float = Field(default=0, ge=0, description="Exposure-weighted clicks since onset in the scope.")
    minimum_confidence: float = Field(default=0, ge=0, le=1, description="Posterior of the verdict.")
    complete_within: Duration | None = Field(
        default=None, description="The incident's own figures reach to within this."
    )
    sources: list[SourceGate] = Field(default_factory=list)
    confirming_origin: OriginGate | None = None


class AlertStep(RuleSection):
    name: str = Field(pattern=r"^[A-Z][A-Za-z0-9]*$", description="alertname; its runbook page has this name.")
    severity: Severity = "warning"


class PauseStep(RuleSection):
    lease: Duration | None = Field(default=None, description="Empty = the settings' lease.")


class ResumeStep(RuleSection):
    """End the pauses that we hold for this incident."""


class WebhookStep(RuleSection):
    url: str = Field(pattern=r"^https?://")


class Step(RuleSection):
    """One of the five."""

    alert: AlertStep | None = None
    investigate: AlertStep | None = None
    pause: PauseStep | None = None
    resume: ResumeStep | None = None
    webhook: WebhookStep | None = None

    @model_validator(mode="after")
    def _one_step(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("a step is exactly one of alert, investigate, pause, resume, webhook")
        return self


class Rule(RuleSection):
    """One rule, as its file says it."""

    rule: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    description: str = Field(min_length=1)
    owner: str = Field(min_length=1)
    runbook: str = ""
    enabled: bool = True
    mode: Mode | None = None
    watch: Watch
    scope: RuleScope = Field(default_factory=RuleScope)
    when: Condition
    for_: int = Field(default=1, ge=1, alias="for")
    window: Duration = duration("1m")
    gates: Gates = Field(default_factory=Gates)
    campaigns: Condition | None = None
    steps: list[Step] = Field(min_length=1)

    @property
    def alert_step(self) -> AlertStep | None:
        """The message this rule sends, if any."""
        return next((step.alert or step.investigate for step in self.steps if step.alert or step.investigate), None)

    @property
    def pause_step(self) -> PauseStep | None:
        return next((step.pause for step in self.steps if step.pause), None)

    @property
    def resumes(self) -> bool:
        return any(step.resume is not None for step in self.steps)

    @property
    def webhook_urls(self) -> list[str]:
        return [step.webhook.url for step in self.steps if step.webhook]
