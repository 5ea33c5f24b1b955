import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from correlator.detection.delay import (
    CAMPAIGN_DELAYS,
    DelayLaw,
    arrival_kernel,
    assumed_law,
    learn_law,
    learn_segment_laws,
    mix_laws,
    segment_key,
)

SECOND = 1000.0


def test_censored_recent_clicks_do_not_make_the_law_look_short() -> None:
    # Clicks of the last 10 minutes, exponential delays of 5 minutes: half of what is to come is not seen yet.
    random = np.random.default_rng(3)
    ages = random.uniform(0, 600 * SECOND, 40_000)
    delays = random.exponential(300 * SECOND, 40_000)
    seen = delays <= ages
    learned = learn_law(delays[seen], ages[seen])
    naive = float(np.mean(delays[seen] <= 60 * SECOND))
    oldest = learned.ages_ms[-1] / SECOND  # the law is conditional on converting within what anyone can show
    true = (1 - np.exp(-60 / 300)) / (1 - np.exp(-oldest / 300))
    assert float(learned.share_by(60 * SECOND)) == pytest.approx(true, rel=0.06)
    assert naive > true * 1.3


def test_law_of_complete_data_is_the_empirical_distribution() -> None:
    random = np.random.default_rng(4)
    delays = random.lognormal(np.log(20 * SECOND), 1.09, 30_000)
    law = learn_law(delays, np.full(30_000, 1e9))
    assert law.age_at(0.5) == pytest.approx(20 * SECOND, rel=0.05)
    assert law.age_at(0.95) == pytest.approx(120 * SECOND, rel=0.1)
    assert law.conversions == 30_000


def test_mean_share_over_a_bucket_is_the_mean_of_the_shares_inside_it() -> None:
    law = assumed_law(20 * SECOND)
    inside = law.share_by(np.linspace(10 * SECOND, 20 * SECOND, 2001)).mean()
    assert float(law.mean_share(10 * SECOND, 20 * SECOND)) == pytest.approx(float(inside), rel=1e-4)


def test_clicks_of_the_future_have_no_conversions() -> None:
    law = assumed_law(20 * SECOND)
    assert float(law.share_by(-1)) == 0.0
    assert float(law.mean_share(-10 * SECOND, 0)) == 0.0


def test_kernel_adds_up_to_the_law() -> None:
    law = assumed_law(20 * SECOND)
    kernel = arrival_kernel(law, bucket_ms=10_000, buckets=40)
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(float(law.mean_share(390 * SECOND, 400 * SECOND)))


def test_mixture_weighs_classes_by_their_conversions() -> None:
    fast = DelayLaw(ages_ms=[1000.0, 2000.0], shares=[1.0, 1.0], conversions=300)
    slow = DelayLaw(ages_ms=[1000.0, 2000.0], shares=[0.0, 1.0], conversions=100)
    assert float(mix_laws({"order": fast, "lead": slow}).share_by(1000)) == pytest.approx(0.75)


def test_nothing_observed_gives_the_assumed_law() -> None:
    assert learn_law([], []).conversions == 0


def delays_of(
    means_s: dict[tuple[str, str], float], *, each: int, seed: int = 5
) -> tuple[list[str], list[str], np.ndarray]:
    random = np.random.default_rng(seed)
    drawn = [random.exponential(mean * SECOND, each) for mean in means_s.values()]
    names = [name for name in means_s for _ in range(each)]
    return [campaign for campaign, _ in names], [page for _, page in names], np.concatenate(drawn)


def test_pages_whose_buyers_take_longer_get_a_law_of_their_own() -> None:
    campaigns, pages, delays = delays_of({("1", "fast"): 60.0, ("2", "slow"): 3600.0}, each=3000)
    ages = np.full(len(delays), 1e9)
    laws = learn_segment_laws(campaigns, pages, delays, ages, parent=learn_law(delays, ages))
    assert laws[segment_key("", "fast")].age_at(0.5) == pytest.approx(60 * SECOND * np.log(2), rel=0.1)
    assert laws[segment_key("", "slow")].age_at(0.5) == pytest.approx(3600 * SECOND * np.log(2), rel=0.1)


def test_a_campaign_differs_from_its_page_only_where_its_delays_prove_it() -> None:
    means = {("1", "a"): 600.0, ("2", "a"): 600.0, ("3", "a"): 6000.0}
    campaigns, pages, delays = delays_of(means, each=2 * CAMPAIGN_DELAYS)
    ages = np.full(len(delays), 1e9)
    laws = learn_segment_laws(campaigns, pages, delays, ages, parent=learn_law(delays, ages))
    assert laws[segment_key("3", "a")].age_at(0.5) > 3 * laws[segment_key("1", "a")].age_at(0.5)
    few = np.concatenate([np.arange(20) + start for start in (0, 400, 800)])
    chosen = learn_segment_laws(
        [campaigns[i] for i in few], [pages[i] for i in few], delays[few], ages[few], parent=learn_law(delays, ages)
    )
    assert segment_key("3", "a") not in chosen


def test_a_page_without_old_clicks_has_its_parents_tail() -> None:
    random = np.random.default_rng(6)
    parent = learn_law(random.exponential(3600 * SECOND, 20_000), np.full(20_000, 1e9))
    ages = random.uniform(0, 1800 * SECOND, 20_000)
    delays = random.exponential(3600 * SECOND, 20_000)
    seen = delays <= ages
    young = learn_law(delays[seen], ages[seen], parent=parent, prior=100.0)
    assert young.share_by([600 * SECOND, 7200 * SECOND]) == pytest.approx(
        parent.share_by([600 * SECOND, 7200 * SECOND]), abs=0.03
    )


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(1.0, 1e8), min_size=1, max_size=40), st.floats(0.1, 1e4))
def test_a_shrunk_law_never_falls_with_age_and_ends_at_one(delays: list[float], prior: float) -> None:
    law = learn_law(delays, np.full(len(delays), 2e8), parent=assumed_law(), prior=prior)
    assert (np.diff(law.shares) >= -1e-12).all()
    assert law.shares[0] >= 0
    assert law.shares[-1] == pytest.approx(1.0)
