"""One minute of ten thousand streams: what it costs one core, what a checkpoint keeps of it, and whether a restart changes a bit.

The detector's own objects, without a store: what a minute's rows bring is put in, the minute is closed, every stream and share advanced, as in
the monitor's tick. Beside it stands the arithmetic that no detector of this design can do without: one exponential for every stream, age and
size of drop, as numpy computes them. The ratio of the two does not depend on the machine.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from core.clock import DAY_MS, MINUTE_MS
from correlator.detection.baseline import BaselineModel, empty_model, leaf_key
from correlator.detection.bounds import DROPS
from correlator.detection.delay import assumed_law
from correlator.detection.exposure import TIERS, Arrival, ClickCount, ExposureState, Leaf
from correlator.detection.minutes import Detectors, Readings
from correlator.detection.shares import ShareBoard, ShareKey, share_name
from correlator.detection.streams import StreamBoard

#: Seconds of one core for a minute (median), by the processor's and by the wall's clock, and bytes kept of a stream.
AT_MOST: Final[dict[str, float]] = {"minute_cpu_s": 1.0, "minute_wall_s": 1.0, "bytes_a_stream": 2000.0}
AT_LEAST_STREAMS: Final = 10_000
#: A campaign leads to two of the pages and is seen on every device: ten streams and a few that campaigns share.
PAGES_A_CAMPAIGN: Final = 2
PAGES: Final = 200
ACCOUNTS: Final = 40
DEVICES: Final = {"mobile": 0.55, "desktop": 0.38, "tablet": 0.07}
ROUTES: Final = 20
DEAD_ZONE: Final = 0.05
RATE: Final = 0.025
DELAY_MEDIAN_MS: Final = 30 * MINUTE_MS
STARTS: Final = 20_000 * DAY_MS
HORIZON_MS: Final = DAY_MS


class Traffic(NamedTuple):
    """Who clicks: leaves and the clicks each has in a minute."""

    leaves: list[Leaf]
    per_minute: npt.NDArray[np.float64]


def run(*, campaigns: int, clicks_a_minute: float, minutes: int, seed: int = 1) -> dict[str, Any]:
    """Fill a day of exposure, close `minutes` minutes, keep everything, take it up again and close one minute on both sides.

    Args:
        campaigns: as many as make the streams; 1,000 make about 10,800.
        clicks_a_minute: over all of them.
        minutes: that count, after two that do not.
        seed: of the traffic.
    """
    random = np.random.default_rng(seed)
    traffic = lay_traffic(campaigns, clicks_a_minute, random)
    model = usual(traffic)
    detectors = filled(traffic, random)
    ours = [_timed(lambda: minute(detectors, traffic, model, random)) for _ in range(minutes + 2)][2:]
    reference = [_timed(lambda: exponentials(detectors)) for _ in range(5)]
    kept = [_timed(lambda: keep(detectors)) for _ in range(5)]
    state = keep(detectors)
    streams = len(detectors.streams.layout.keys)
    figures = {
        "streams": streams,
        "leaves": len(traffic.leaves),
        "shares": len(detectors.shares.keys),
        "ages": len(detectors.exposure.edges),
        "minutes": minutes,
        "minute_cpu_s": round(median(cpu for _, cpu in ours), 3),
        "minute_wall_s": round(median(wall for wall, _ in ours), 3),
        "slowest_wall_s": round(max(wall for wall, _ in ours), 3),
        "exponentials_cpu_s": round(median(cpu for _, cpu in reference), 3),
        "times_the_exponentials": round(median(cpu for _, cpu in ours) / median(cpu for _, cpu in reference), 2),
        "checkpoint_cpu_s": round(median(cpu for _, cpu in kept), 3),
        "checkpoint_bytes": sum(map(len, state)),
        "bytes_a_stream": round(sum(map(len, state)) / streams),
        "the_same_after_a_restart": survives(detectors, state, traffic, model),
    }
    return {"seed": seed, "clicks_a_minute": clicks_a_minute, **figures, "missed": missed(figures)}


def missed(figures: dict[str, Any]) -> list[str]:
    """The bounds that were not kept, each as a sentence."""
    found = [
        f"{name} is {figures[name]}, at most {bound:g}" for name, bound in AT_MOST.items() if figures[name] > bound
    ]
    if figures["streams"] < AT_LEAST_STREAMS:
        found.append(f"only {figures['streams']} streams, at least {AT_LEAST_STREAMS}")
    if not figures["the_same_after_a_restart"]:
        found.append("the minute after a restart is not the one without")
    return found


def lay_traffic(campaigns: int, clicks_a_minute: float, random: np.random.Generator) -> Traffic:
    """Campaigns with a long tail, each on two pages and all devices."""
    leaves, weights = [], []
    for number in range(campaigns):
        campaign = f"{('google', 'meta', 'microsoft')[number % 3]}:{number % ACCOUNTS}:{10_000 + number}"
        pages = random.choice(PAGES, PAGES_A_CAMPAIGN, replace=False)
        for page, half in zip(pages.tolist(), (0.7, 0.3), strict=True):
            for device, share in DEVICES.items():
                leaves.append(Leaf(campaign, device, f"shop.test/landing/{page}"))
                weights.append(half * share / (number + 20) ** 0.8)
    per_minute = np.asarray(weights)
    return Traffic(leaves, clicks_a_minute * per_minute / per_minute.sum())


def usual(traffic: Traffic) -> BaselineModel:
    """A baseline as it would be learned: every leaf's rate with its error, a daily profile, delays of half an hour."""
    campaigns = sorted({leaf.campaign for leaf in traffic.leaves})
    hours = np.arange(168)
    return msgspec.structs.replace(
        empty_model(now=STARTS),
        conversions=1e6,
        overall=RATE,
        campaign_conversions=dict.fromkeys(campaigns, 1000.0),
        leaves={leaf_key(leaf): (RATE, 0.05) for leaf in traffic.leaves},
        profile=(1 + 0.25 * np.sin(2 * np.pi * hours / 24)).tolist(),
        profile_error=0.01,
        dispersion=1.2,
        misfit=0.03,
        law=assumed_law(DELAY_MEDIAN_MS),
        shares={share_name(ShareKey(kind, name)): (0.02, 1e5) for name in campaigns for kind in ("lost", "invalid")},
    )


def filled(traffic: Traffic, random: np.random.Generator) -> Detectors:
    """The state after a day of this traffic: clicks in every bucket of age, and the conversions that have arrived."""
    exposure = ExposureState(closed=STARTS, horizon_ms=HORIZON_MS)
    edges = exposure.edges
    widths = np.append(np.diff(edges), TIERS[0][0]) / MINUTE_MS
    clicks = random.poisson(traffic.per_minute[:, None] * widths[None, :])
    clicks[:, edges >= STARTS] = 0
    exposure.add_clicks(
        [ClickCount(traffic.leaves[row], int(edges[at]), float(clicks[row, at])) for row, at in np.argwhere(clicks)]
    )
    arrived = assumed_law(DELAY_MEDIAN_MS).share_by(STARTS - edges) * RATE
    converted = random.binomial(clicks, arrived[None, :])
    exposure.settle(
        [
            Arrival(traffic.leaves[row], STARTS - 1, int(edges[at]))
            for row, at in np.repeat(np.argwhere(converted), converted[converted > 0], axis=0)
        ]
    )
    return Detectors(exposure, StreamBoard(dead_zone=DEAD_ZONE), ShareBoard())


def minute(detectors: Detectors, traffic: Traffic, model: BaselineModel, random: np.random.Generator) -> Readings:
    """What a minute's rows bring, and the close of the minute."""
    exposure, _, shares = detectors
    start = exposure.closed
    counts = random.poisson(traffic.per_minute)
    leaves = traffic.leaves
    rows = np.repeat(np.arange(len(counts)), counts)
    bucket = random.integers(0, 6, len(rows))
    by_bucket = np.unique(np.stack([rows, bucket], axis=1), axis=0, return_counts=True)
    exposure.add_clicks(
        [
            ClickCount(leaves[row], start + 10_000 * at, float(n))
            for (row, at), n in zip(by_bucket[0].tolist(), by_bucket[1].tolist(), strict=True)
        ]
    )
    buyers = np.repeat(np.arange(len(counts)), random.poisson(traffic.per_minute * RATE))
    delays = random.exponential(DELAY_MEDIAN_MS / np.log(2), len(buyers))
    exposure.add_arrivals(
        [
            Arrival(leaves[row], start + 30_000, start + 30_000 - int(delay))
            for row, delay in zip(buyers.tolist(), delays.tolist(), strict=True)
        ]
    )
    by_campaign: dict[str, int] = {}
    for leaf, count in zip(leaves, counts.tolist(), strict=True):
        by_campaign[leaf.campaign] = by_campaign.get(leaf.campaign, 0) + count
    for campaign, hits in by_campaign.items():
        for kind in ("lost", "invalid"):
            shares.add(ShareKey(kind, campaign), hits=0.0, trials=float(hits))
    for route in range(ROUTES):
        for device in DEVICES:
            shares.add(ShareKey("errors", "shop", f"GET /{route}", device), hits=1.0, trials=100.0)
    return close(detectors, model)


def close(detectors: Detectors, model: BaselineModel) -> Readings:
    """The minute after the last closed one, as the engine closes it."""
    return detectors.observe(
        detectors.exposure.closed + MINUTE_MS,
        model=model,
        rate=lambda leaf: model.rate(leaf, targets={}, minimum_conversions=50),
        masked=set,
    )


def exponentials(detectors: Detectors) -> npt.NDArray[np.float64]:
    """One exponential for every stream, age and size of drop."""
    values = np.full((len(detectors.streams.layout.keys), len(detectors.exposure.edges)), -0.5)
    return np.stack([np.exp(values).sum(axis=1) for _ in DROPS])


def keep(detectors: Detectors) -> tuple[bytes, bytes, bytes]:
    """What a checkpoint keeps of the detectors."""
    exposure, streams, shares = detectors
    return exposure.encode(), streams.encode(), shares.encode()


def take_up(state: tuple[bytes, bytes, bytes]) -> Detectors:
    """The detectors of a checkpoint, as a start makes them."""
    exposure = ExposureState.decode(state[0], horizon_ms=HORIZON_MS)
    streams, shares = StreamBoard(dead_zone=DEAD_ZONE), ShareBoard()
    streams.restore(state[1], exposure.leaves)
    shares.restore(state[2])
    return Detectors(exposure, streams, shares)


def survives(detectors: Detectors, state: tuple[bytes, bytes, bytes], traffic: Traffic, model: BaselineModel) -> bool:
    """Whether the minute after a restart has the values it has without one, to the last bit."""
    again = take_up(state)
    here, there = (minute(side, traffic, model, np.random.default_rng(7)) for side in (detectors, again))
    return all(np.array_equal(a, b) for a, b in zip(here, there, strict=True)) and keep(detectors) == keep(again)


def _timed(work: Any) -> tuple[float, float]:
    """Seconds by the wall's clock and the processor's."""
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - cpu
