import msgspec
import numpy as np
import pytest

from correlator.detection.baseline import History, decode_model, fit, gamma_concentration, hour_profile
from correlator.detection.delay import assumed_law
from correlator.detection.exposure import Leaf

LAW = assumed_law(20_000)
HOUR = 3_600_000
DAYS = 21
FIRST_HOUR = 496_008  # midnight
CAMPAIGNS = {f"google:1:{i}": 0.03 + 0.008 * i for i in range(8)}
DEVICES = {"mobile": 0.7, "desktop": 1.3}
PAGES = {"shop.example/a": 1.0, "shop.example/b": 1.2}
LEAVES = [Leaf(c, d, p) for c in CAMPAIGNS for d in DEVICES for p in PAGES]


def season(hours: np.ndarray) -> np.ndarray:
    return 1 + 0.25 * np.sin(2 * np.pi * (hours % 24) / 24)


def world(*, seed: int = 1, clicks: float = 60.0, day_sd: float = 0.0, spoil: slice | None = None) -> History:
    random = np.random.default_rng(seed)
    hours = FIRST_HOUR + np.arange(DAYS * 24)
    row = np.repeat(np.arange(len(LEAVES)), len(hours))
    hour = np.tile(hours, len(LEAVES))
    rates = np.asarray([CAMPAIGNS[c] * DEVICES[d] * PAGES[p] for c, d, p in LEAVES])
    days = np.exp(random.normal(0, day_sd, DAYS))[(hour - FIRST_HOUR) // 24]
    shown = random.poisson(clicks, len(row)).astype(float)
    rate = rates[row] * season(hour) * days
    if spoil is not None:
        inside = (hour - FIRST_HOUR >= spoil.start) & (hour - FIRST_HOUR < spoil.stop)
        rate = np.where(inside, rate * 0.1, rate)
    return History(LEAVES, row, hour, shown, random.poisson(shown * rate).astype(float))


def learned(history: History):
    return fit(history, laws={"order": LAW}, law=LAW, now=(FIRST_HOUR + DAYS * 24 + 24) * HOUR)


def test_leaf_rates_are_found_again() -> None:
    model = learned(world())
    for leaf in LEAVES[::5]:
        true = CAMPAIGNS[leaf.campaign] * DEVICES[leaf.device] * PAGES[leaf.page]
        rate = model.rate(leaf, targets={}, minimum_conversions=50)
        assert rate.basis == "history"
        assert rate.value == pytest.approx(true, rel=5 * rate.error + 0.02)


def test_the_stated_error_is_as_large_as_the_errors_made() -> None:
    model = learned(world(clicks=6))
    misses = []
    for leaf in LEAVES:
        true = CAMPAIGNS[leaf.campaign] * DEVICES[leaf.device] * PAGES[leaf.page]
        rate = model.rate(leaf, targets={}, minimum_conversions=0)
        misses.append((rate.value / true - 1) / rate.error)
    # 40 leaves share main effects, so some misses are common: between half and twice the stated size is honest.
    assert 0.3 < np.sqrt(np.mean(np.square(misses))) < 2.0


def test_the_daily_profile_is_found_and_has_mean_one() -> None:
    model = learned(world(clicks=400))
    middle = (FIRST_HOUR + np.arange(24) + 0.5) * HOUR
    assert model.season(middle) == pytest.approx(season(FIRST_HOUR + np.arange(24)), abs=0.03)


def test_a_flat_world_gets_a_flat_profile() -> None:
    hours = FIRST_HOUR + np.arange(DAYS * 24)
    due = np.full(len(hours), 40.0)
    seen = np.random.default_rng(2).poisson(due).astype(float)
    assert hour_profile(hours, seen, due) == pytest.approx(np.ones(168), abs=0.08)


def test_short_history_gets_no_profile() -> None:
    hours = FIRST_HOUR + np.arange(20)
    assert hour_profile(hours, np.ones(20), np.ones(20)).tolist() == [1.0] * 168


def test_a_past_incident_does_not_pull_the_baseline_down() -> None:
    clean, spoiled = learned(world()), learned(world(spoil=slice(200, 230)))
    ratios = [spoiled.leaves[key][0] / clean.leaves[key][0] for key in clean.leaves]
    assert np.mean(ratios) == pytest.approx(1, abs=0.015)  # untrimmed, 30 hours at a tenth of 504 would cost 5 %


def test_day_to_day_wobble_is_estimated() -> None:
    assert learned(world()).misfit < 0.02
    # Trimming and the days of the week take their part of a wobble of 0.1.
    assert 0.04 < learned(world(day_sd=0.1)).misfit < 0.15


def test_a_sparse_leaf_is_shrunk_towards_the_main_effects() -> None:
    history = world()
    sparse = LEAVES.index(Leaf("google:1:3", "mobile", "shop.example/a"))
    keep = (history.row != sparse) | (history.hour < FIRST_HOUR + 2)
    thin = History(LEAVES, *(np.asarray(a)[keep] for a in history[1:]))
    rate = learned(thin).rate(LEAVES[sparse], targets={}, minimum_conversions=50)
    assert rate.value == pytest.approx(0.054 * 0.7, rel=0.15)


def test_a_campaign_without_history_is_measured_against_its_target() -> None:
    rate = learned(world()).rate(
        Leaf("meta:9:1", "mobile", "shop.example/a"), targets={"meta:9:1": 0.05}, minimum_conversions=50
    )
    desktop = learned(world()).rate(
        Leaf("meta:9:1", "desktop", "shop.example/a"), targets={"meta:9:1": 0.05}, minimum_conversions=50
    )
    # A target is the campaign's: half of the clicks are mobile, and its devices differ as elsewhere.
    assert rate.basis == "target"
    assert (rate.value + desktop.value) / 2 == pytest.approx(0.05, rel=0.01)
    assert rate.value / desktop.value == pytest.approx(0.7 / 1.3, rel=0.05)


def test_a_campaign_without_history_or_target_is_known_only_roughly() -> None:
    rate = learned(world()).rate(Leaf("meta:9:1", "mobile", "shop.example/a"), targets={}, minimum_conversions=50)
    assert rate.basis == "similar"
    assert rate.error > 0.2


def test_concentration_is_high_where_leaves_do_not_differ() -> None:
    due = np.full(500, 50.0)
    random = np.random.default_rng(5)
    same = gamma_concentration(random.poisson(due).astype(float), due)
    different = gamma_concentration(random.poisson(due * random.gamma(25, 1 / 25, 500)).astype(float), due)
    assert same > 200
    assert different == pytest.approx(25, rel=0.4)


def test_a_model_travels_as_json() -> None:
    model = learned(world())
    assert decode_model(msgspec.json.decode(msgspec.json.encode(model))) == model


def test_a_page_with_long_delays_does_not_look_as_if_it_converted_less() -> None:
    # Half of what the slow page's last days will bring has not come: with one law for both pages its rate would be too low.
    slow, history = assumed_law(5 * 24 * HOUR), world(clicks=400)
    now = (FIRST_HOUR + DAYS * 24) * HOUR
    at_b = np.asarray([leaf.page == "shop.example/b" for leaf in LEAVES])[history.row]
    come = np.where(at_b, slow.share_by(now - (history.hour + 0.5) * HOUR), 1.0)
    young = history._replace(conversions=np.random.default_rng(7).binomial(history.conversions.astype(int), come) * 1.0)
    model = fit(young, laws={}, law=LAW, now=now, segments={"|shop.example/b": slow})
    for leaf in LEAVES[1::6]:
        true = CAMPAIGNS[leaf.campaign] * DEVICES[leaf.device] * PAGES[leaf.page]
        assert model.rate(leaf, targets={}, minimum_conversions=50).value == pytest.approx(true, rel=0.05)
    assert model.law_of(Leaf("new", "mobile", "shop.example/b")) is slow
    assert decode_model(msgspec.json.decode(msgspec.json.encode(model))).segment_laws == {"|shop.example/b": slow}


def test_a_model_kept_before_pages_had_laws_is_still_read() -> None:
    kept = msgspec.to_builtins(learned(world()))
    del kept["segment_laws"]
    assert decode_model(kept).law_of(LEAVES[0]) == LAW


def test_days_in_the_calendar_teach_nothing_about_other_days() -> None:
    promoted = world(clicks=400)
    days = promoted.hour // 24
    special = set(range(int(days.max()) - 9, int(days.max()) + 1))
    more = np.where(np.isin(days, list(special)), 1.3, 1.0)
    promoted = promoted._replace(conversions=promoted.conversions * more)
    now = (FIRST_HOUR + DAYS * 24 + 24) * HOUR
    plain = fit(promoted, laws={}, law=LAW, now=now)
    told = fit(promoted, laws={}, law=LAW, now=now, special_days=special)
    usual = learned(world(clicks=400))
    assert plain.overall > 1.1 * usual.overall
    assert told.overall == pytest.approx(usual.overall, rel=0.02)
    assert told.special_days == sorted(special)
