"""Settings of the postbacks: what holds for a sender, by the name of its key."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from collectors.source_config import check_networks
from core.records import ConversionStatus, Origin
from core.settings import Section

Policy = Literal["ignore", "new", "overwrite", "add"]


class SenderConfig(Section):
    """One sender: an affiliate network, a tracker, a partner. A key without an entry has these defaults."""

    key: str = Field("", description="Name of its key, made with: clicktrace keys add NAME --scope postback.")
    networks: tuple[str, ...] = Field((), description="Addresses it may send from, as networks; empty = all.")
    duplicates: Policy = Field(
        "ignore",
        description="A postback that says again what is known: `ignore` it; `new` = another conversion; `overwrite` = "
        "the newest one counts; `add` its payout to the first one's.",
    )
    type: str = Field("order", min_length=1, description="Conversion type where a postback names none.")
    types: dict[str, str] = Field({}, description="Their word for a type -> ours; other words stay.")
    default_status: ConversionStatus = Field("confirmed", description="Status where a postback names none.")
    statuses: dict[str, ConversionStatus | Literal["ignore"]] = Field(
        {}, description="Their word for a status -> ours, beside the usual ones; `ignore` leaves such postbacks out."
    )
    currency: str = Field("", pattern=r"^([A-Z]{3})?$", description="Currency where a postback names none.")
    origin: Origin = Field("backend", description="Whose word it is: backend, platform, crm, analytics or offline.")
    parameters: dict[str, str] = Field(
        {}, description="Our parameter -> theirs, beside the usual names, e.g. {click_id: aff_sub, payout: amount}."
    )
    keep: tuple[str, ...] = Field((), max_length=32, description="Further parameters that are kept as attributes.")

    @field_validator("networks")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return check_networks(value)

    @field_validator("statuses", "types")
    @classmethod
    def _in_lower_case(cls, value: dict[str, str]) -> dict[str, str]:
        return {word.lower(): ours for word, ours in value.items()}


class PostbackConfig(Section):
    """GET and POST /api/v1/postback."""

    max_body_bytes: int = Field(64 * 2**10, ge=2**10, description="Longer bodies are refused with 413.")
    remember_days: int = Field(
        180,
        ge=1,
        description="Until then a later postback is told to be of the same conversion: a status, a duplicate.",
    )
    senders: tuple[SenderConfig, ...] = Field((), description="One entry a key that needs other than the defaults.")

    @field_validator("senders")
    @classmethod
    def _once(cls, value: tuple[SenderConfig, ...]) -> tuple[SenderConfig, ...]:
        keys = [sender.key for sender in value]
        if "" in keys or len(set(keys)) < len(keys):
            raise ValueError("each sender has a `key`, and none has two entries")
        return value
