"""Credits sum to the conversions, whatever arrives in whatever order; what was answered as of T is answered again."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.control.checkpoints import Checkpoints
from core.money import to_micros
from correlator.engine import Correlator

DAY = {"since": "00:00", "until": "2026-09-22T00:00:00Z"}
NOON = 1790000000000 - 1790000000000 % 86_400_000 + 12 * 3_600_000
TABLES = (
    "click", "conversion", "spend", "arrival", "conversion_key", "conversion_match", "repeated_click", "matching_target",
)  # fmt: skip

people = st.integers(0, 3)
a_click = st.fixed_dictionaries(
    {
        "what": st.just("click"),
        "minute": st.integers(0, 300),
        "id": st.integers(1, 4),
        "visitor": people,
        "campaign": st.sampled_from("ab"),
    }
)
a_conversion = st.fixed_dictionaries(
    {
        "what": st.just("conversion"), "minute": st.integers(0, 300), "number": st.integers(1, 5), "click": st.integers(0, 4),
        "visitor": people, "order": people, "email": people, "type": st.sampled_from(("order", "lead")),
        "origin": st.sampled_from(("backend", "analytics")), "status": st.sampled_from(("captured", "confirmed", "rejected", "returned")),
        "value": st.integers(0, 100),
    }
)  # fmt: skip
facts = st.lists(st.one_of(a_click, a_conversion), min_size=1, max_size=14)


def tell(world: Any, fact: dict[str, Any], *, known: int) -> None:
    """Journal a generated fact; small numbers become IDs, 0 becomes none."""
    ts = NOON - 6 * 3_600_000 + fact["minute"] * 60_000
    visitor = f"{fact['visitor']:032x}" if fact["visitor"] else ""
    if fact["what"] == "click":
        world.click(
            ts, known=known, click_id=f"{fact['id']:032x}", visitor_id=visitor, campaign=f"google:1:{fact['campaign']}"
        )
    else:
        world.conversion(
            ts, known=known, conversion_id=str(fact["number"]), type=fact["type"], origin=fact["origin"], status=fact["status"],
            click_id=f"{fact['click']:032x}" if fact["click"] else "", visitor_id=visitor,
            order_id=str(fact["order"] or ""), email_sha256=str(fact["email"] or ""), value_micros=fact["value"] * 1_000_000,
            currency="USD" if fact["value"] else "",
        )  # fmt: skip


def empty(world: Any) -> None:
    for table in TABLES:
        world.store.command(f"TRUNCATE TABLE {table}")


@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(earlier=facts, later=facts, ticks=st.sets(st.integers(0, 27), max_size=5))
def test_ticks_arrivals_and_rebuilds_do_not_change_what_is_answered(
    world: Any, earlier: list[dict[str, Any]], later: list[dict[str, Any]], ticks: set[int]
) -> None:
    empty(world)
    known = max(world.clock(), NOON) + 1000
    for number, fact in enumerate(earlier):
        tell(world, fact, known=known + number)
        if number in ticks:
            world.settle()
    world.settle(known + 1000)
    as_of = world.clock() - 500
    query = {"from": "2026-09-21T00:00:00Z", "to": "2026-09-22T00:00:00Z"}
    first = ask(world, as_of=as_of, **query)
    assert first["rows"] == ask(world, **query)["rows"]
    for number, fact in enumerate(later):
        tell(world, fact, known=known + 5000 + number)
        if number + 14 in ticks:
            world.settle()
    world.settle(known + 9000)
    assert ask(world, as_of=as_of, **query) == first
    credits_sum_to_the_conversions(world, query)
    grown = world.matches()
    world.store.command("TRUNCATE TABLE conversion_match")
    Correlator(
        world.store,
        world.journal,
        Checkpoints(world.control, f"rebuilt-{known}"),
        config=world.config,
        clock=world.clock,
    ).tick(world.clock())
    assert world.matches() == grown


def ask(world: Any, *, as_of: int | None = None, **query: str) -> Any:
    from core.clock import to_rfc3339

    asked = {**query, **({"as_of": to_rfc3339(as_of)} if as_of else {})}
    answer = world.client.get("/api/v1/attribution", params=asked, headers={"Authorization": f"Bearer {world.key}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def credits_sum_to_the_conversions(world: Any, query: dict[str, str]) -> None:
    """Against a count of the journal's own facts, by hand: newest version, believed origin, neither rejected nor duplicate."""
    credit = ask(world, **query)
    counted = [
        row
        for row in world.matches().values()
        if row["origin"] == "backend" and row["status"] not in ("rejected", "duplicate")
    ]
    worth = sum(row["value_micros"] for row in counted if row["status"] != "returned")
    assert credit["unmatched"]["conversions"] == len(counted)
    for model in credit["models"]:
        rows = [row for row in credit["rows"] if row["model"] == model]
        assert sum(to_micros(row["credit"]) for row in rows) == len(counted) * 1_000_000
        assert sum(to_micros(row["value"]) for row in rows) == worth
    facts = world.store.rows("SELECT uniqExact(fact_id) AS n FROM conversion")[0]["n"]
    assert len(world.matches()) == facts


def test_the_unmatched_share_and_the_methods_are_shown(world: Any) -> None:
    world.conversion("09:01", click_id=world.click("09:00"))
    world.conversion("09:02", visitor_id="ab" * 16)
    world.settle()
    found = world.get("/attribution", **DAY)
    assert found["unmatched"] == {"conversions": 2.0, "unmatched": 1.0, "share": 0.5}
    assert [(row["model"], row["campaign"], row["by_method"], row["confidence"]) for row in found["rows"]] == [
        (model, *rest)
        for model in sorted(found["models"])
        for rest in (("", {"none": 1.0}, 0.0), ("google:1:2", {"click_id": 1.0}, 1.0))
    ]
