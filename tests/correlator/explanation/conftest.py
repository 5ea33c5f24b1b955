"""Windows made by hand: arrays instead of a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from correlator.detection.delay import arrival_kernel, assumed_law
from correlator.explanation.window import CampaignFacts, Cell, Window

START = 1_790_000_040_000
BUCKET = 10_000
LAW = assumed_law(20_000)
CAMPAIGNS = {
    "google:1:1": ("a.test/x", 0.08),
    "google:1:2": ("a.test/y", 0.06),
    "meta:2:1": ("a.test/x", 0.1),
    "meta:2:2": ("a.test/y", 0.05),
}
DEVICES = ("desktop", "mobile")
CELLS = [
    Cell(c, d, page, "Safari" if d == "mobile" else "Chrome")
    for c, (page, _) in sorted(CAMPAIGNS.items())
    for d in DEVICES
]


class Maker:
    """Draws a window of `buckets` buckets whose fault begins at bucket `onset`."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(4)

    def __call__(
        self,
        *,
        buckets: int = 90,
        onset: int = 60,
        per_bucket: float = 25.0,
        kind: str = "arrival",
        keeps: Callable[[Cell], float] = lambda cell: 1.0,
        growth: Callable[[Cell], float] = lambda cell: 1.0,
        growth_ends: int = 10_000,
        lost: Callable[[Cell], float] = lambda cell: 0.0,
        failed: Callable[[Cell], float] = lambda cell: 0.0,
        untracked: Callable[[Cell], bool] = lambda cell: False,
        **fields: Any,
    ) -> Window:
        size = (len(CELLS), buckets)
        after = np.arange(buckets) >= onset
        grown = after & (np.arange(buckets) < growth_ends)
        times = np.where(grown, np.asarray([growth(c) for c in CELLS])[:, None], 1.0)
        people = self.random.poisson(np.full(size, per_bucket)).astype(float)
        hits = people + self.random.poisson(per_bucket * (times - 1)) if (times > 1).any() else people.copy()
        gone = self.random.binomial(
            hits.astype(int), np.where(after, np.asarray([lost(c) for c in CELLS])[:, None], 0.0)
        ).astype(float)
        rates = np.asarray([CAMPAIGNS[c.campaign][1] for c in CELLS])
        kernel = arrival_kernel(LAW, bucket_ms=BUCKET, buckets=buckets)
        kept = np.asarray([keeps(c) for c in CELLS])
        observed, by_click, unmatched = np.zeros(size), np.zeros(size), self.random.poisson(2.0, buckets).astype(float)
        expected, young = np.zeros(size), np.zeros(size)
        clicks = hits - gone
        for b in range(buckets):
            shares = kernel[: buckets - b]
            due = np.outer((people - gone)[:, b] * rates, shares)
            expected[:, b:] += np.outer(clicks[:, b] * rates, shares)
            young[:, b] = clicks[:, b] * rates * shares.sum()
            hurt = after[b:] if kind == "arrival" else np.full(buckets - b, after[b])
            come = self.random.poisson(due * np.where(hurt, kept[:, None], 1.0))
            for row, cell in enumerate(CELLS):
                if untracked(cell):
                    unmatched[b:] += np.where(after[b:], come[row], 0)
                    come[row] = np.where(after[b:], 0, come[row])
            observed[:, b:] += come
            by_click[:, b] += come.sum(1)
        traced = np.round(clicks / 2)
        bad = self.random.binomial(
            traced.astype(int), np.where(after, np.asarray([failed(c) for c in CELLS])[:, None], 0.0)
        ).astype(float)
        window = Window(
            start=START,
            end=START + buckets * BUCKET,
            bucket_ms=BUCKET,
            cells=list(CELLS),
            clicks=clicks,
            hits=hits,
            lost=gone,
            lost_parallel=gone * np.asarray([c.campaign.startswith("google") for c in CELLS])[:, None],
            expected=expected,
            observed=observed,
            expected_by_click=young,
            observed_by_click=by_click,
            expected_lost=np.zeros(size),
            unmatched=unmatched,
            traced=traced,
            failed=bad,
            slow=np.zeros(size),
            touches={},
            clicked_touches={},
            service=[],
            markers=[],
            rates=rates,
            bases=["history"] * len(CELLS),
            campaigns={
                name: CampaignFacts(
                    name, name.split(":")[0], "1", currency="USD", cpc_micros=500_000, margin_micros=20_000_000
                )
                for name in CAMPAIGNS
            },
        )
        return window._replace(**fields)


@pytest.fixture
def window() -> Maker:
    return Maker()
