import numpy as np
import pytest

from correlator.detection.delay import DelayLaw, arrival_kernel, assumed_law, learn_law, mix_laws

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
