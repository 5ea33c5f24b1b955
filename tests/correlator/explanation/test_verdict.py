import pytest

from core.incidents import Evidence, Verdict
from correlator.explanation.verdict import CAP, conclude


def piece(verdict: Verdict, nats: float) -> Evidence:
    return Evidence(name="x", text="x", verdict=verdict.value, log_likelihood=nats)


def test_without_evidence_the_cause_is_unknown() -> None:
    posterior = conclude([])
    assert next(iter(posterior)) is Verdict.UNKNOWN
    assert posterior[Verdict.UNKNOWN] > 0.5


def test_probabilities_add_up_and_stand_likeliest_first() -> None:
    posterior = conclude([piece(Verdict.SITE_SLOW, 4), piece(Verdict.SITE_FAILING, 1)])
    assert sum(posterior.values()) == pytest.approx(1)
    assert list(posterior.values()) == sorted(posterior.values(), reverse=True)
    assert next(iter(posterior)) is Verdict.SITE_SLOW


def test_no_single_piece_decides_by_its_size_alone() -> None:
    assert conclude([piece(Verdict.SITE_FAILING, 500)]) == conclude([piece(Verdict.SITE_FAILING, CAP)])


def test_evidence_against_a_verdict_helps_the_others() -> None:
    alone = conclude([piece(Verdict.SITE_FAILING, 3)])
    contradicted = conclude(
        [piece(Verdict.SITE_FAILING, 3), piece(Verdict.SITE_FAILING, -3), piece(Verdict.TRACKING_BROKEN, 3)]
    )
    assert next(iter(alone)) is Verdict.SITE_FAILING
    assert next(iter(contradicted)) is Verdict.TRACKING_BROKEN


@pytest.mark.parametrize("verdict", [v for v in Verdict if v is not Verdict.UNKNOWN])
def test_every_verdict_can_win(verdict: Verdict) -> None:
    assert next(iter(conclude([piece(verdict, 6)]))) is verdict
