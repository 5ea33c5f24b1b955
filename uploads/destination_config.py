"""The settings every destination of uploads has, whatever the platform."""

from __future__ import annotations

from pydantic import Field, field_validator

from core.clock import parse_rfc3339
from core.records import ConversionStatus, Origin
from core.settings import Section


class ConversionMapping(Section):
    """Which of our conversions becomes which of the platform's."""

    type: str = Field(min_length=1, description="Our conversion type, such as order or lead.")
    target: str = Field(
        min_length=1, max_length=255, description="Google: ID of the conversion action. Meta: the event's name."
    )
    statuses: tuple[ConversionStatus, ...] = Field(
        ("qualified", "confirmed"), description="It is sent once it has one of these statuses."
    )
    send_value: bool = Field(True, description="False sends the conversion without its money.")


class DestinationConfig(Section):
    """One account or data set that conversions are reported to."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$", description="Names it in the sent log, metrics and logs.")
    enabled: bool = Field(False, description="Nothing is sent unless this and `uploads.enabled` are true.")
    client: str = Field("", description="Tenant whose conversions go there; no other tenant's ever do.")
    endpoint: str = Field("", description="Another address than the vendor's (tests, proxies).")
    credentials_file: str = Field(min_length=1, description="Google: service-account JSON. Meta: file with the token.")
    conversions: tuple[ConversionMapping, ...] = Field(min_length=1, description="What is sent, as what.")
    origins: tuple[Origin, ...] = Field(
        ("backend", "crm", "offline"), description="Who reported them. Add no origin that repeats another's."
    )
    click_accounts: tuple[str, ...] = Field(
        (), description="Only conversions of clicks of these ad accounts of the platform; empty = of any."
    )
    since: str = Field(
        "",
        description="RFC 3339; conversions that happened earlier are never sent. Empty = since it was first enabled.",
    )
    require_consent: bool = Field(
        True,
        description="Only with a consent that was given. False also sends where nothing was said; never a refusal.",
    )
    min_confidence: float = Field(
        0.9,
        ge=0,
        le=1,
        description="Least confidence of the match with the click: click ID 1, the platform's ID 0.99, visitor and order 0.9, "
        "CRM ID 0.85, e-mail 0.7, phone 0.65.",
    )
    send_contacts: bool = Field(
        False, description="Also send the hashed e-mail and (Google) phone, where a conversion has them."
    )
    wait_s: int = Field(
        600, ge=0, description="Sent this long after it became known, so that a correction comes first."
    )
    batch_size: int = Field(200, ge=1, le=1000, description="Events in one request.")
    deadline_s: float = Field(60.0, gt=0, description="One round of this destination ends by then.")
    call_timeout_s: float = Field(20.0, gt=0, description="One call ends by then.")
    give_up_s: int = Field(7 * 86_400, ge=60, description="What could not be delivered for this long is a dead letter.")
    stopped_retry_s: float = Field(
        3600.0, gt=0, description="After a permanent error the destination is tried again this much later."
    )

    @field_validator("since")
    @classmethod
    def _a_time(cls, value: str) -> str:
        if value:
            parse_rfc3339(value)
        return value

    @field_validator("conversions")
    @classmethod
    def _each_once(cls, value: tuple[ConversionMapping, ...]) -> tuple[ConversionMapping, ...]:
        pairs = [(one.type, one.target) for one in value]
        twice = sorted({f"{type} as {target}" for type, target in pairs if pairs.count((type, target)) > 1})
        if twice:
            raise ValueError(f"listed more than once: {', '.join(twice)}")
        return value
