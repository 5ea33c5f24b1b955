"""Settings of synthetic checks: pages, and what must be there."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from collectors.source_config import ConnectionConfig, SourceConfig
from core.destinations import AllowList, normalise
from core.errors import Invalid
from core.settings import Section


class PageConfig(Section):
    """One page, and what must be there."""

    url: str = Field(description="The landing page itself, not the short link: a visit of that would be a click.")
    status: tuple[int, ...] = Field((200,), min_length=1, description="What it may answer at the end of its redirects.")
    text: tuple[str, ...] = Field((), description="Each must be on the page, as people read it.")
    absent: tuple[str, ...] = Field((), description='None may be on the page, e.g. "sold out".')
    form: str = Field(
        "", description="A form's id, name or action that must be there; * = any form; empty = none needed."
    )
    slow_s: float = Field(3.0, gt=0, description="A first byte later than this is a finding.")
    campaigns: tuple[str, ...] = Field((), description="Campaigns that lead here, to be named in alerts.")

    @field_validator("url")
    @classmethod
    def _normal_form(cls, value: str) -> str:
        try:
            return normalise(value, reserved=()).url
        except Invalid as error:
            raise ValueError(f"{value!r}: {error.detail}") from None


class ChecksConnection(ConnectionConfig):
    """Pages that are looked at together, such as a site's."""

    pages: tuple[PageConfig, ...] = Field(min_length=1, max_length=200, description="What is looked at.")

    @model_validator(mode="after")
    def _each_once(self) -> ChecksConnection:
        urls = [page.url for page in self.pages]
        twice = sorted({url for url in urls if urls.count(url) > 1})
        if twice:
            raise ValueError(f"{self.name}: listed more than once: {', '.join(twice)}")
        if self.endpoint:
            raise ValueError(f"{self.name}: a page has its own url; endpoint says nothing here")
        return self


class ChecksConfig(SourceConfig):
    """Schedule of the looks. There is no past to look at."""

    interval_s: float = Field(60.0, ge=10, description="Every page is looked at once per this span.")
    recent_s: int = Field(0, ge=0, description="Not used: a look sees the present only.")
    backfill_s: int = Field(0, ge=0, description="Not used: a look sees the present only.")
    timeout_s: float = Field(10.0, gt=0, le=60, description="One look, redirects included, ends by then.")
    retry_s: float = Field(5.0, ge=0, le=60, description="What a look found is confirmed by a second one after this.")
    concurrency: int = Field(4, ge=1, le=32, description="Looks under way at once.")
    max_hops: int = Field(5, ge=0, le=20, description="Redirects that are followed; more are a finding.")
    certificate_days: float = Field(14.0, ge=0, description="A certificate that ends sooner is a finding.")
    allowed_private: tuple[str, ...] = Field(
        (), description="host:port of pages that may lie on private addresses; others are refused, on redirects, too."
    )
    deadline_s: float = Field(120.0, gt=0, description="A round of looks ends by then.")
    call_timeout_s: float = Field(60.0, gt=0, description="The same; what was not looked at by then is next.")
    connections: tuple[ChecksConnection, ...] = Field((), description="One entry a site.")

    @field_validator("allowed_private")
    @classmethod
    def _exact(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            if not entry.rpartition(":")[2].isdigit():
                raise ValueError(f"{entry!r}: write host:port")
        try:
            AllowList(value)
        except Invalid as error:
            raise ValueError(error.detail) from None
        return value
