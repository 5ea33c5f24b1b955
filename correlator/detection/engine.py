"""Detection: one tick from newly loaded rows to incidents.

1. Take up the checkpoint on the first tick; learn the baseline when it is due, but never while an import is under way or an incident open.
2. Read what was loaded since the last tick.
3. Close every minute of event time that is complete, and advance all detectors by it.
4. When the fleet's detector reaches the budget's threshold, the stream that contributed most has fired: open an incident or add to one.
5. Follow the open incidents: figures, recovery, closing.
6. Keep the state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

import msgspec
import numpy as np
import numpy.typing as npt
import structlog

from core.clock import DAY_MS, HOUR_MS, MINUTE_MS, Clock, floor_minute, now_ms
from core.control.checkpoints import Checkpoints
from core.records import Baseline
from core.store.client import Store
from core.store.lasting import Lasting
from correlator import metrics
from correlator.config import CorrelatorConfig
from correlator.detection import history
from correlator.detection.aside import Aside, Runner, in_a_thread
from correlator.detection.baseline import BaselineModel, decode_model
from correlator.detection.bounds import MINUTES_PER_MONTH, minimum_detectable_drops
from correlator.detection.config import DetectionConfig
from correlator.detection.exposure import Arrival, ClickCount, ExposureState, Leaf
from correlator.detection.feed import Feed, FeedState
from correlator.detection.minutes import CONVERSION_SHARE, Detectors, Fired, fleet_threshold
from correlator.detection.sequential import EMPTY
from correlator.detection.shares import ShareBoard, ShareKey, share_name, share_scope
from correlator.detection.streams import StreamBoard, stream_name
from correlator.explanation.explain import Alarm
from correlator.explanation.window import CampaignFacts, Question, read_campaigns
from correlator.incidents import Facts, IncidentBook, IncidentRun, Journal

log = structlog.get_logger(__name__)

Array = npt.NDArray[np.float64]

#: Campaign descriptions and the state of an import are looked at this often.
LOOK_INTERVAL_MS = 60_000
#: After a long stop, older minutes are skipped: an alarm about this morning helps nobody, and its incident is in the history.
LONGEST_CATCH_UP_MS = 3 * HOUR_MS
#: A share detector above this many nats when an incident opens is taken to belong to it.
RELATED_NATS = float(np.log(100))
#: Later than any row (the store's times end in 2299).
FAR_FUTURE_MS = 9_000_000_000_000
#: A refit that failed is tried again after this long; one that takes longer is told of.
RETRY_MS = 300_000
SLOW_MS = 600_000
#: How often the weight of the streams is split anew, at a refit. As long as exposure reaches back by default: so all onsets that are still
#: possible have one of two weights.
WEIGHING_INTERVAL_MS = DAY_MS
#: Minutes over which a leaf's expected conversions are averaged for the drop it can detect.
PACE_MINUTES = 60.0


class _Saved(msgspec.Struct, kw_only=True):
    """One checkpoint: everything that must be consistent with how far we have read."""

    feed: FeedState
    exposure: bytes
    streams: bytes
    weighed_at: int
    shares: bytes
    incidents: bytes
    muted: dict[str, list[tuple[str, str, str, str]]]
    counts: tuple[int, int]


class Detection:
    """The detector and what it remembers. One instance, one thread."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        checkpoints: Checkpoints,
        *,
        config: DetectionConfig,
        money: CorrelatorConfig | None = None,
        clock: Clock = now_ms,
        shipped_through: Callable[[int], int] | None = None,
        aside: Runner = in_a_thread,
    ) -> None:
        self._store = store
        self._journal = journal
        self._checkpoints = checkpoints
        self._config = config
        self._money = money or CorrelatorConfig()
        self._clock = clock
        self._shipped_through = shipped_through or (lambda now: now)
        self._horizon_ms = round(config.exposure_horizon_h * HOUR_MS)
        self._started = False
        self._model: BaselineModel | None = None
        self._counts = (-1, -1)
        self._learned_counts = (-1, -1)
        self._refit: Aside[BaselineModel] = Aside(aside)
        self._asked_at = 0
        self._asked_counts = (-1, -1)
        self._retry_at = 0
        self._slow_told = False
        self._weighed_at = 0
        self._looked_at = 0
        self._saved_at = 0
        self._campaigns: dict[str, CampaignFacts] = {}
        self._described: Lasting[dict[str, CampaignFacts]] = Lasting("campaign", "spend", "rate")
        self._pace: dict[Leaf, float] = {}
        self._muted: dict[str, list[tuple[str, str, str, str]]] = {}
        self._streams = StreamBoard(dead_zone=config.dead_zone)
        self._shares = ShareBoard()
        self.incidents = IncidentBook(store, journal, config=config)

    @property
    def model(self) -> BaselineModel | None:
        """The baseline in force."""
        return self._model

    @property
    def exposure(self) -> ExposureState:
        """Clicks by leaf and age."""
        return self._exposure

    @property
    def threshold(self) -> float:
        """log of the minutes between false alarms of the whole fleet."""
        return fleet_threshold(self._config.false_alarms_per_month)

    def tick(self, now: int | None = None) -> list[str]:
        """One round; the IDs of incidents that were journaled."""
        at = self._clock() if now is None else now
        through = min(self._shipped_through(at), at)
        if through <= 0:
            return []
        self._start(at, through)
        self._look(at)
        if self._model is None:
            return []
        batch = self._feed.read(self._model, now=at, through=through)
        self._exposure.add_clicks(batch.clicks)
        self._exposure.add_arrivals(batch.arrivals)
        for key, hits, trials in batch.shares:
            self._shares.add(key, hits=hits, trials=trials)
        facts = self._facts(at, through)
        changed = self._close_minutes(facts)
        followed, closed = self.incidents.follow(facts)
        for run_ in closed:
            self._release(run_)
        changed += [incident for incident in followed if incident not in changed]
        self._save(at, force=bool(changed or closed))
        return changed

    def stop(self) -> None:
        """Wait for a refit under way; its model is thrown away."""
        self._refit.stop()

    def exposure_check(self) -> Callable[[], float] | None:
        """A comparison of the exposure as it is now with a full scan of the same rows (`exposure_differs`), to be made in any thread.

        None before the first tick. The comparison raises StoreError when the store does not answer in time.
        """
        if not self._started:
            return None
        state = ExposureState.decode(self._exposure.encode(), horizon_ms=self._horizon_ms)  # a copy: ticks go on
        scan = partial(
            scan_exposure,
            self._store,
            closed=state.closed,
            through=self._feed.state.hits_through,
            horizon_ms=self._horizon_ms,
            types=self._config.steering_types,
            origin=self._config.steering_origin,
        )
        return lambda: exposure_differs(state, scan())

    # --- start and learning --------------------------------------------------------------------------------------------------

    def _start(self, now: int, through: int) -> None:
        if self._started:
            return
        model = self._checkpoints.get("baseline")
        if model is not None:
            self._model = decode_model(msgspec.json.decode(model))
        if not self._restored(now):
            state = FeedState(hits_through=through, matched_through=now)
            self._feed = self._new_feed(state)
            self._fill_exposure(closed=floor_minute(through), through=through)
            self.incidents.restore(None, now=now)
        self._streams.adopt(self._exposure.leaves)
        self._started = True

    def _restored(self, now: int) -> bool:
        """Take up the checkpoint; False where there is none, or one of a version that kept its state otherwise: then all is filled anew."""
        data = self._checkpoints.get("state")
        if data is None:
            return False
        try:
            saved = msgspec.msgpack.decode(data, type=_Saved)
            exposure = ExposureState.decode(saved.exposure, horizon_ms=self._horizon_ms)
            streams, shares = StreamBoard(dead_zone=self._config.dead_zone), ShareBoard()
            same = streams.restore(saved.streams, exposure.leaves)
            shares.restore(saved.shares)
            self.incidents.restore(saved.incidents, now=now)
        except msgspec.DecodeError as error:
            log.warning("detection's checkpoint is of another version; its state is filled anew", error=str(error))
            return False
        if not same:
            log.warning("the checkpoint's streams are not today's; their detectors start from nothing")
        self._feed = self._new_feed(saved.feed)
        self._exposure, self._streams, self._shares = exposure, streams, shares
        self._weighed_at = saved.weighed_at
        self._muted = saved.muted
        self._learned_counts = saved.counts
        return True

    def _fill_exposure(self, *, closed: int, through: int) -> None:
        """The exposure from the raw rows, with what became known by `through`; the feed goes on after them."""
        self._exposure = scan_exposure(
            self._store,
            closed=closed,
            through=through,
            horizon_ms=self._horizon_ms,
            types=self._config.steering_types,
            origin=self._config.steering_origin,
        )
        self._feed.take_as_read(start=int(self._exposure.edges[0]), through=through)

    def _refill_exposure(self) -> None:
        """An import changed the past. The feed leaves its rows out, and a first scan may have met it half loaded."""
        before = self._exposure
        self._fill_exposure(closed=before.closed, through=self._feed.state.hits_through)
        for leaf, since in zip(before.leaves, before.since.tolist(), strict=True):
            if since:
                self._exposure.start_afresh(np.asarray([self._exposure.leaf_index(leaf)]), since)
        self._streams.adopt(self._exposure.leaves)

    def _new_feed(self, state: FeedState) -> Feed:
        return Feed(self._store, state, types=self._config.steering_types, origin=self._config.steering_origin)

    def _look(self, now: int) -> None:
        """Campaigns and imports once a minute (every tick until a baseline stands); learn when it is due."""
        self._take_refit(now)
        if self._model is not None and now - self._looked_at < LOOK_INTERVAL_MS and self._settled:
            return
        self._looked_at = now
        counts = history.claimed_counts(self._store)
        self._settled = counts == self._counts
        self._counts = counts
        self._campaigns = self._described.answer(
            self._store, lambda: read_campaigns(self._store, money=self._money, now=now), asked=now // DAY_MS
        )
        if self._settled and self._due(now):
            self._learn(now)

    _settled = False

    def _due(self, now: int) -> bool:
        if self._model is None:
            return True
        if self._refit.busy or now < self._retry_at:
            return False
        if self._learned_counts != self._counts:
            return True
        poor = self._model.conversions < 10 * self._config.minimum_conversions
        interval = 300 if poor else self._config.refresh_interval_s
        return not self.incidents.runs and now - self._model.learned_at >= interval * 1000

    def _learn(self, now: int) -> None:
        """Learn the baseline as of now, past incidents left out; beside the ticks, unless there is none yet to watch with."""
        work = partial(
            history.learn,
            self._store,
            now=now,
            config=self._config,
            types=list(self._config.steering_types),
            origin=self._config.steering_origin,
            excluded=past_incidents(self._store, start=now - self._config.history_days * 24 * HOUR_MS, now=now),
        )
        if self._model is None:
            self._put_in_force(work(), now=now, counts=self._counts)
            return
        self._asked_at, self._asked_counts, self._slow_told = now, self._counts, False
        self._refit.begin(work)
        self._take_refit(now)

    def _take_refit(self, now: int) -> None:
        """Put a refit that has ended in force. The old model stays where it failed, or where an incident opened meanwhile."""
        if self._model is not None:
            metrics.BASELINE_AGE.set((now - self._model.learned_at) / 1000)
        done = self._refit.take()
        if done is None:
            if self._refit.busy and now - self._asked_at >= SLOW_MS and not self._slow_told:
                self._slow_told = True
                metrics.BASELINE_REFITS.labels("slow").inc()
                log.warning("the baseline's refit takes long; the old one stays in force", begun=self._asked_at)
            return
        if done.result is None:
            self._retry_at = now + RETRY_MS
            metrics.BASELINE_REFITS.labels("failed").inc()
            log.warning("the baseline could not be learned anew; the old one stays in force", error=str(done.error))
        elif self.incidents.runs and self._asked_counts == self._learned_counts:
            metrics.BASELINE_REFITS.labels("incident").inc()
        else:
            metrics.BASELINE_REFITS.labels("adopted").inc()
            self._put_in_force(done.result, now=now, counts=self._asked_counts)

    def _put_in_force(self, model: BaselineModel, *, now: int, counts: tuple[int, int]) -> None:
        """Journal and keep the baseline; after an import fill the exposure anew."""
        if self._learned_counts != counts:
            self._refill_exposure()
        self._model = model
        self._learned_counts = counts
        if now - self._weighed_at >= WEIGHING_INTERVAL_MS:
            spend = spend_by_leaf(self._exposure, self._campaigns)
            # Leaves that came since the last closed minute stand behind those of the layout, and have no stream yet.
            self._streams.weigh(spend[: self._streams.layout.member.shape[1]])
            self._weighed_at = now
        payload = {"model": msgspec.to_builtins(model), "minimum_drops": self.minimum_drops()}
        self._checkpoints.put("baseline", msgspec.json.encode(model))
        self._journal.append(
            Baseline(
                ts=model.learned_at,
                source="correlator",
                fact_id="baseline:conversion_rate",
                stream="all",
                payload=payload,
            )
        )
        metrics.BASELINE_AGE.set((now - model.learned_at) / 1000)
        log.info("baseline learned", conversions=model.conversions, leaves=len(model.leaves))

    def targets(self) -> dict[str, float]:
        """Target conversion rate by campaign: cost per click / target cost per lead, else its break-even rate."""
        found: dict[str, float] = {}
        for name, facts in self._campaigns.items():
            if facts.target_cpl_micros > 0 and facts.cpc_micros > 0:
                found[name] = min(facts.cpc_micros / facts.target_cpl_micros, 1.0)
            elif facts.break_even_rate > 0:
                found[name] = facts.break_even_rate
        return found

    def minimum_drops(self, *, within_minutes: float = 120.0) -> dict[str, float | None]:
        """For every stream the smallest drop it can find in time at its present traffic; None = not even an outage."""
        layout = self._streams.layout
        # Leaves that came since the last closed minute stand behind those of the layout.
        leaves = self._exposure.leaves[: layout.member.shape[1]]
        pace = layout.member @ np.asarray([self._pace.get(leaf, 0.0) for leaf in leaves])
        months = MINUTES_PER_MONTH / self._config.false_alarms_per_month / CONVERSION_SHARE
        drops = minimum_detectable_drops(
            pace, mean_run_length=months / np.exp(layout.log_weights), within_minutes=within_minutes
        )
        return {
            stream_name(key): None if np.isnan(drop) else round(drop, 4)
            for key, drop in zip(layout.keys, drops.tolist(), strict=True)
        }

    # --- minutes -------------------------------------------------------------------------------------------------------------

    def _facts(self, now: int, through: int) -> Facts:
        assert self._model is not None
        question = Question(
            types=self._config.steering_types,
            origin=self._config.steering_origin,
            targets=self.targets(),
            minimum_conversions=self._config.minimum_conversions,
        )
        return Facts(model=self._model, question=question, campaigns=self._campaigns, now=now, through=through)

    def _close_minutes(self, facts: Facts) -> list[str]:
        grace = max(round(self._config.grace_s * 1000), self._feed.lag_ms())
        last = floor_minute(facts.through - grace)
        changed: list[str] = []
        start = max(self._exposure.closed + MINUTE_MS, last - LONGEST_CATCH_UP_MS)
        for end in range(start, last + 1, MINUTE_MS):
            conversions, shares = self._advance(end, facts)
            if self._settled:
                changed += self._alarms(conversions, shares, end, facts)
        return changed

    def _advance(self, end: int, facts: Facts) -> tuple[Array, Array]:
        """Close one minute; log values of all conversion streams and of all shares."""
        model, question = facts.model, facts.question
        readings = self._detectors.observe(
            end,
            model=model,
            rate=lambda leaf: model.rate(
                leaf, targets=question.targets, minimum_conversions=question.minimum_conversions
            ),
            masked=self.incidents.masked,
            appeared=self.incidents.mask_new_leaves,
        )
        self._keep_pace(readings.expected)
        return readings.conversions, readings.shares

    @property
    def _detectors(self) -> Detectors:
        return Detectors(self._exposure, self._streams, self._shares)

    def _keep_pace(self, expected: Array) -> None:
        for leaf, rate in zip(self._exposure.leaves, expected, strict=True):
            self._pace[leaf] = self._pace.get(leaf, rate) * (1 - 1 / PACE_MINUTES) + rate / PACE_MINUTES

    def _alarms(self, conversions: Array, shares: Array, end: int, facts: Facts) -> list[str]:
        """Open or extend incidents until the fleet is below its threshold again."""
        changed: list[str] = []
        conversions, shares = conversions.copy(), shares.copy()
        shares[[position for position, key in enumerate(self._shares.keys) if self._is_muted(key)]] = EMPTY
        for _ in range(20):  # every round takes at least one stream out
            fired = self._detectors.fired(conversions, shares, threshold=self.threshold)
            if fired is None:
                break
            alarm = self._alarm(fired, end)
            run_ = self.incidents.raise_alarm(alarm, facts)
            if run_ is None:
                (shares if fired.kind == "shares" else conversions)[fired.position] = EMPTY
                continue
            self._claim(run_, fired, conversions, shares, end)
            if run_.incident_id not in changed and run_.journaled_at == facts.now:
                changed.append(run_.incident_id)
        return changed

    def _alarm(self, fired: Fired, end: int) -> Alarm:
        if fired.kind == "conversions":
            key = self._streams.layout.keys[fired.position]
            scope = dict(key)
            return Alarm("conversions", stream_name(key), scope, end)
        share = self._shares.keys[fired.position]
        return Alarm(share.kind, share_name(share), share_scope(share), end)

    def _claim(self, run_: IncidentRun, fired: Fired, conversions: Array, shares: Array, end: int) -> None:
        """Take what belongs to the incident out of the detectors: its leaves from every stream, its shares until it closes."""
        rows = {row for row, leaf in enumerate(self._exposure.leaves) if tuple(leaf) in run_.leaves}
        if fired.kind == "conversions":
            rows |= set(self._streams.members(fired.position)) if not rows else set()
            conversions[fired.position] = EMPTY
        conversions[self._streams.touching(rows)] = EMPTY
        self._streams.reset(rows, at=end)
        muted = self._muted.setdefault(run_.incident_id, [])
        for position, share in enumerate(self._shares.keys):
            first = fired.kind == "shares" and position == fired.position
            if first or shares[position] >= RELATED_NATS:
                muted.append((share.kind, share.subject, share.route, share.device))
                shares[position] = EMPTY

    def _is_muted(self, key: ShareKey) -> bool:
        return any(tuple(key) in keys for keys in self._muted.values())

    def _release(self, run_: IncidentRun) -> None:
        """After an incident: its leaves start afresh where it recovered, its shares from nothing."""
        recovery = run_.payload.recovery
        at = recovery.since if recovery is not None and recovery.since else self._exposure.closed
        rows = [row for row, leaf in enumerate(self._exposure.leaves) if tuple(leaf) in run_.leaves]
        self._exposure.start_afresh(np.asarray(rows, dtype=np.int64), at)
        self._streams.reset(set(rows), at=at)
        for key in self._muted.pop(run_.incident_id, []):
            self._shares.reset(ShareKey(*key))

    # --- state ---------------------------------------------------------------------------------------------------------------

    def _save(self, now: int, *, force: bool) -> None:
        if not force and now - self._saved_at < self._config.checkpoint_interval_s * 1000:
            return
        saved = _Saved(
            feed=self._feed.saved(),
            exposure=self._exposure.encode(),
            streams=self._streams.encode(),
            weighed_at=self._weighed_at,
            shares=self._shares.encode(),
            incidents=self.incidents.encode(),
            muted=self._muted,
            counts=self._learned_counts,
        )
        self._checkpoints.put("state", msgspec.msgpack.encode(saved))
        self._saved_at = now


def past_incidents(store: Store, *, start: int, now: int) -> list[tuple[int, int]]:
    """Intervals from onset to close of every incident since `start`."""
    rows = history.run(store, "detection_incidents", {"start": start}).to_pylist()
    return [(row["onset"], row["closed"] if row["state"] == "closed" else now) for row in rows]


def spend_by_leaf(exposure: ExposureState, campaigns: Mapping[str, CampaignFacts]) -> Array:
    """What the clicks kept as exposure cost, by leaf (micros): clicks x its campaign's cost per click.

    A campaign whose clicks' cost is unknown, or told in another currency than most, counts as one of the usual (median) cost. All
    zero when no cost is known. No conversion enters, so weights by spend are known before what they weigh.
    """
    known = {name: facts.cpc_micros for name, facts in campaigns.items() if facts.cpc_micros > 0}
    if not known:
        return np.zeros(len(exposure.leaves))
    currency = Counter(campaigns[name].currency for name in known).most_common(1)[0][0]
    known = {name: cost for name, cost in known.items() if campaigns[name].currency == currency}
    usual = float(np.median(list(known.values())))
    costs = np.asarray([float(known.get(leaf.campaign, usual)) for leaf in exposure.leaves])
    spend: Array = exposure.clicks.sum(axis=1) * costs
    return spend


def scan_exposure(
    store: Store, *, closed: int, horizon_ms: int, types: list[str], origin: str, through: int | None = None
) -> ExposureState:
    """The exposure state from the raw rows: at the first start, and to check the running state against at night.

    With `through`, rows of the minute after `closed` are taken too, as far as they were known then; the feed goes on from there.
    """
    state = ExposureState(closed=closed, horizon_ms=horizon_ms)
    params: dict[str, object] = {
        "start": int(state.edges[0]),
        "end": closed if through is None else through + 1,
        "through": FAR_FUTURE_MS if through is None else through,
        "types": types,
        "origin": origin,
    }
    clicks = history.run(store, "detection_full_scan", params).to_pylist()
    state.add_clicks(
        [ClickCount(Leaf(r["campaign"], r["device"], r["page"]), r["bucket"], r["clicks"]) for r in clicks]
    )
    conversions = history.run(store, "detection_scan_conversions", params).to_pylist()
    arrivals = [Arrival(Leaf(r["campaign"], r["device"], r["page"]), r["ts"], r["click_ts"]) for r in conversions]
    state.settle(arrivals)
    return state


def exposure_differs(state: ExposureState, scanned: ExposureState) -> float:
    """Clicks in which the running state differs from a full scan up to the same minute, summed over the leaves, as a share of the scan's.

    A leaf that started afresh after an incident counts from the first whole bucket since.
    """
    since = dict(zip(state.leaves, state.since.tolist(), strict=True))
    ours, theirs = _clicks_by_leaf(state, since), _clicks_by_leaf(scanned, since)
    apart = sum(abs(ours.get(leaf, 0.0) - theirs.get(leaf, 0.0)) for leaf in ours.keys() | theirs.keys())
    return apart / max(sum(theirs.values()), 1.0)


def _clicks_by_leaf(state: ExposureState, since: Mapping[Leaf, int]) -> dict[Leaf, float]:
    closed = state.edges < state.closed
    return {
        leaf: float(clicks[closed & (state.edges >= since.get(leaf, 0))].sum())
        for leaf, clicks in zip(state.leaves, state.clicks, strict=True)
    }
