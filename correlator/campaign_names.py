"""What people call campaigns, for answers that name them by their qualified IDs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from core.store.client import Store
from correlator.campaigns import campaigns
from correlator.period import Question


def campaign_names(store: Store, question: Question) -> dict[str, str]:
    """Qualified ID -> name, as known by the question's moment, of those that it may see and that have one."""
    everywhere = msgspec.structs.replace(question, campaign="")
    return {facts.campaign: facts.name for facts in campaigns(store, everywhere) if facts.name}


def named(shown: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """An answer's object with its `campaign_name` behind its `campaign`: "" where nobody gave it one, or there is no campaign."""
    told: dict[str, Any] = {}
    for field, content in shown.items():
        told[field] = content
        if field == "campaign":
            told["campaign_name"] = names.get(content or "", "")
    return told
