"""Traces of paid clicks that failed in the scope: what an engineer opens first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.incidents import FailedTrace, Verdict
from core.store.client import Store
from correlator.detection.baseline import BaselineModel
from correlator.detection.history import run
from correlator.explanation.service_health import Change
from correlator.explanation.window import Cell, trace_params

SHOWN = 3
#: Fetched to choose from: failures outside the scope and on other routes are passed over.
FETCHED = 300


def failed_traces(
    store: Store,
    model: BaselineModel,
    *,
    start: int,
    end: int,
    scope: Mapping[str, str],
    verdict: Verdict,
    changes: Sequence[Change],
) -> list[FailedTrace]:
    """Up to three traces of different clicks, those on the routes that changed first, the newest of them first."""
    params = {"start": start, "end": end, "slow": verdict is Verdict.SITE_SLOW, "limit": FETCHED, **trace_params(model)}
    rows = [row for row in run(store, "explanation_failed_traces", params).to_pylist() if _inside(row, scope)]
    telling = {(c.service, c.route) for c in changes}
    rows.sort(key=lambda row: (row["service"], row["route"]) not in telling)
    chosen: dict[str, FailedTrace] = {}
    for row in rows:
        chosen.setdefault(row["click_id"], FailedTrace(**{name: row[name] for name in FailedTrace.__struct_fields__}))
        if len(chosen) == SHOWN:
            break
    return list(chosen.values())


def _inside(row: Mapping[str, object], scope: Mapping[str, str]) -> bool:
    cell = Cell(*(str(row[name]) for name in Cell._fields))
    own = {**cell._asdict(), "platform": cell.campaign.split(":", 1)[0], "account": cell.campaign.rsplit(":", 1)[0]}
    return all(own[name] in text.split(",") for name, text in scope.items())
