import msgspec
import pytest

from core.incidents import AffectedCampaign, Cost, Evidence, SuspectDeploy, Verdict
from core.money import spoken
from correlator.explanation.narrative import sentence_of, title_of, where

COST = Cost(
    currency="USD",
    exposed_micros=90_000_000,
    wasted_micros=60_000_000,
    exposed_per_hour_micros=1_312_000_000,
    wasted_per_hour_micros=874_000_000,
    wasted_per_hour_low_micros=500_000_000,
    wasted_per_hour_high_micros=1_100_000_000,
)
ROUTE = Evidence(
    name="route_errors",
    text="orders POST /order (mobile) fails for 80% of requests, 0.5% before",
    verdict="site_failing",
    log_likelihood=6,
)
DEPLOY = SuspectDeploy(service="orders", version="2.1", change="deploy", ts=1_790_000_000_000, score=0.97, reason="")
CAMPAIGNS = [
    AffectedCampaign(campaign="google:1:1", platform="google"),
    AffectedCampaign(campaign="meta:2:1", platform="meta"),
]


def sentence(verdict: Verdict, **changed: object) -> str:
    given = {
        "scope": {"device": "mobile", "page": "a.test/x"},
        "names": {},
        "onset": 1_790_000_060_000,
        "expected": 48.2,
        "observed": 9,
        "lost_share": 0.81,
        "cost": COST,
        "evidence": [ROUTE],
        "deploys": [DEPLOY],
        "campaigns": CAMPAIGNS,
        "basis": "history",
    }
    return sentence_of(verdict, **{**given, **changed})  # type: ignore[arg-type]  # a dict of mixed keyword arguments


def test_a_sentence_says_what_changed_why_what_it_costs_and_what_to_do() -> None:
    text = sentence(Verdict.SITE_FAILING)
    for part in (
        "14:14 UTC",
        "81% fewer",
        "9 where 48",
        "fails for 80%",
        "deploy orders 2.1",
        "$874",
        "$1,310",
        "2 campaigns",
        "Pause them",
        "roll back orders 2.1",
    ):
        assert part in text


def test_the_reason_is_told_and_the_title_not_repeated() -> None:
    text = sentence(Verdict.SITE_FAILING)
    assert "Why: orders POST /order (mobile) fails for 80% of requests, 0.5% before; most likely cause: deploy" in text
    assert "ite failing" not in text
    assert "Why: nothing that we watch explains it." in sentence(Verdict.UNKNOWN, evidence=[], deploys=[])


def test_where_all_is_wasted_it_is_said_so() -> None:
    everything = msgspec.structs.replace(COST, wasted_per_hour_micros=COST.exposed_per_hour_micros)
    assert "It wastes all of the $1,310 an hour spent on 2 campaigns." in sentence(
        Verdict.SITE_FAILING, cost=everything
    )


def test_broken_tracking_says_not_to_pause_and_names_no_waste() -> None:
    text = sentence(Verdict.TRACKING_BROKEN, deploys=[])
    assert "Do not pause" in text
    assert "No sales are lost" in text
    assert "wastes" not in text


def test_a_flood_names_what_it_may_cost_at_most() -> None:
    text = sentence(Verdict.TRAFFIC_CHANGED, deploys=[], evidence=[])
    assert "No sales are lost" in text
    assert "up to $1,100" in text


def test_a_failing_redirect_spares_campaigns_with_parallel_tracking() -> None:
    spared = AffectedCampaign(campaign="google:1:1", platform="google", parallel_tracking=True, loses_sales=False)
    assert "1 with parallel tracking still sells" in sentence(
        Verdict.REDIRECT_FAILING, campaigns=[spared, CAMPAIGNS[1]]
    )


def test_a_target_in_the_place_of_history_is_said_so() -> None:
    assert "target stands in" in sentence(Verdict.UNKNOWN, basis="target")


def test_an_unlikely_deploy_is_not_blamed() -> None:
    weak = SuspectDeploy(service="web", version="1", change="deploy", ts=0, score=0.1, reason="")
    assert "web" not in sentence(Verdict.SITE_FAILING, deploys=[weak])


@pytest.mark.parametrize(
    ("micros", "currency", "text"),
    [
        (410_000_000, "USD", "$410"),
        (1_313_000_000, "EUR", "€1,310"),
        (3_456_000, "USD", "$3.46"),
        (38_000_000, "CHF", "CHF 38"),
    ],
)
def test_amounts_are_rounded_as_people_say_them(micros: int, currency: str, text: str) -> None:
    assert spoken(micros, currency) == text


def test_places_in_words() -> None:
    assert where({}, {}) == "all visitors"
    assert where({"device": "mobile", "page": "a.test/x"}, {}) == "mobile visitors of a.test/x"
    assert where({"campaign": "meta:2:1"}, {"meta:2:1": "Spring"}) == "visitors from Spring"
    assert title_of(Verdict.SITE_SLOW, {"page": "a.test/x"}, {}) == "Site slow: visitors of a.test/x"
