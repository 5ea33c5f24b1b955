"""From an order in the journal to the platform and back into the journal: nothing twice, nothing unseen."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import delete

from core.clock import DAY_MS
from core.control.tables import checkpoints, uploads
from core.errors import StoreError, Transient
from tests.uploads.world import World

HALF_AN_HOUR_S = 31 * 60


def test_an_order_is_reported_once_and_its_way_stands_in_the_journal_and_the_store(
    world: World, google, google_shop
) -> None:
    destination = google_shop()
    runner = world.runner(destination)
    order = world.order()
    world.round(runner)
    assert world.states(destination.config.name) == {order: ("accepted", "")}
    world.round(runner, after_s=HALF_AN_HOUR_S)
    assert world.states(destination.config.name) == {order: ("sent", "")}
    for _ in range(3):
        world.round(runner, after_s=60)
    assert len(google.batches) == 1
    (sent,) = google.counted.values()
    assert sent["conversionValue"] == 59.9
    assert [record.state for record in world.journaled(destination.config.name)] == ["accepted", "sent"]
    world.match()
    (row,) = world.store.rows(
        "SELECT state, conversion, target FROM upload_current WHERE destination = {name:String}",
        {"name": destination.config.name},
    )
    assert row == {"state": "sent", "conversion": f"conversion:{world.client}:backend:order:{order}", "target": "7001"}


def test_the_journal_holds_no_identifier_of_a_person(world: World, google_shop) -> None:
    destination = google_shop()
    world.order(email_sha256="e" * 64)
    world.round(world.runner(destination))
    (record,) = world.journaled(destination.config.name)
    assert not any(word in str(record) for word in ("Gclid", "eeee", "Mozilla"))


def test_meta_answers_at_once(world: World, facebook, meta_shop) -> None:
    destination = meta_shop()
    runner = world.runner(destination)
    order = world.order(campaign="meta:5:6")
    world.round(runner)
    assert world.states(destination.config.name) == {order: ("sent", "")}
    world.round(runner, after_s=60)
    assert len(facebook.batches) == 1


def test_everything_that_is_left_out_is_counted_with_its_reason(world: World, google, google_shop) -> None:
    destination = google_shop(conversions=[{"type": "order", "target": "7001"}, {"type": "lead", "target": "7001"}])
    world.campaign("google:1234567890:99", sandbox=True)
    expected = {
        world.order(consent="no"): ("skipped", "consent_refused"),
        world.order(consent=""): ("skipped", "consent_unknown"),
        world.order(clicked=False): ("skipped", "consent_unknown"),
        world.order(campaign="google:1234567890:99"): ("skipped", "sandbox"),
        world.order(ts=world.clock.now - 100 * DAY_MS, attributes={"consent": "yes"}): ("skipped", "too_old"),
        world.order(known_at=world.clock.now - 2 * DAY_MS): ("skipped", "replayed"),
        world.order(known_at=world.clock.now): ("accepted", ""),
        world.order(attributes={"consent": "no"}): ("skipped", "consent_refused"),
        world.order(type="lead", status="qualified"): ("accepted", ""),
        world.order(clicked=False, attributes={"consent": "yes"}): ("accepted", ""),
    }
    nobodys = [world.order(status="captured"), world.order(type="signup"), world.order(campaign="meta:1:2")]
    runner = world.runner(destination)
    world.round(runner)
    found = world.states(destination.config.name)
    assert found == expected
    assert not set(nobodys) & set(found)
    assert sum(map(len, google.batches)) == 3


def test_nothing_of_a_test_account_ever_leaves(world: World, google, google_shop) -> None:
    world.sandbox_accounts = [f"google:{google.account}"]
    destination = google_shop()
    order = world.order()
    world.round(world.runner(destination))
    assert world.states(destination.config.name) == {order: ("skipped", "sandbox")}
    assert google.requests == []


def test_orders_from_before_a_destination_was_enabled_are_not_reported(world: World, google, google_shop) -> None:
    before = world.order()
    world.clock.advance(1_000)
    destination = google_shop(since="")
    runner = world.runner(destination)
    world.round(runner)
    world.clock.advance(1_000)
    after = world.order()
    world.round(world.runner(destination), after_s=60)
    assert set(world.states(destination.config.name)) == {after}
    assert before not in str(google.batches)


def test_a_lead_is_reported_once_it_has_a_status_that_counts(world: World, google, google_shop) -> None:
    destination = google_shop()
    runner = world.runner(destination)
    order = world.order(status="captured")
    world.round(runner)
    assert world.states(destination.config.name) == {}
    same = {
        "ts": world.clock.now,
        "client": world.client,
        "attributes": {"consent": "yes"},
        "platform_ids": {"gclid": "late"},
    }
    world.change(order, status="qualified", **same)
    world.round(runner, after_s=60)
    assert world.states(destination.config.name) == {order: ("accepted", "")}


def test_a_correction_that_comes_first_stops_it_and_one_that_comes_later_is_said(
    world: World, google, google_shop
) -> None:
    destination = google_shop(wait_s=600)
    runner = world.runner(destination)
    early, late = world.order(), world.order()
    world.round(runner)
    assert set(world.states(destination.config.name).values()) == {("pending", "")}
    back = {"ts": world.clock.now, "client": world.client, "status": "refunded"}
    world.change(early, **back)
    world.round(runner, after_s=700)
    world.round(runner, after_s=HALF_AN_HOUR_S)
    assert world.states(destination.config.name) == {early: ("skipped", "status"), late: ("sent", "")}
    world.change(late, **back)
    world.round(runner, after_s=60)
    assert world.states(destination.config.name)[late] == ("sent", "taken_back")
    assert len(google.counted) == 1
    assert world.journaled(destination.config.name)[-1].reason == "taken_back"


def test_two_systems_that_report_the_same_order_lead_to_one_event(world: World, google, google_shop) -> None:
    destination = google_shop()
    runner = world.runner(destination)
    first = world.order(order_id=f"A-{world.client}")
    world.round(runner)
    second = world.order(order_id=f"A-{world.client}", origin="crm")
    world.round(runner, after_s=60)
    assert world.states(destination.config.name) == {first: ("accepted", ""), second: ("skipped", "duplicate_event")}
    assert sum(map(len, google.batches)) == 1


def test_what_a_pixel_reported_with_the_same_event_id_is_not_counted_again(world: World, facebook, meta_shop) -> None:
    destination = meta_shop()
    event_id = f"px-{world.client}"
    facebook.pixel("Purchase", event_id)
    order = world.order(campaign="meta:5:6", attributes={"consent": "yes", "event_id": event_id})
    world.round(world.runner(destination))
    assert world.states(destination.config.name) == {order: ("sent", "")}
    assert [one["from"] for one in facebook.counted[("Purchase", event_id)]] == ["pixel"]
    assert (len(facebook.counted), facebook.repeated) == (1, 1)


def test_an_answer_that_is_lost_is_made_up_for_and_counted_once(world: World, google, google_shop) -> None:
    destination = google_shop()
    runner = world.runner(destination)
    order = world.order()
    google.lose_answers = 1
    world.round(runner)
    upload = world.uploads(destination.config.name)[order]
    assert (upload.state, upload.reason, upload.attempts) == ("pending", "unanswered", 1)
    assert upload.uncertain_since == world.clock.now
    world.round(runner, after_s=120)
    world.round(runner, after_s=HALF_AN_HOUR_S)
    assert world.states(destination.config.name) == {order: ("sent", "already_there")}
    assert (len(google.counted), google.repeated[order]) == (1, 1)


def test_meta_is_asked_again_only_while_it_would_notice(world: World, facebook, meta_shop) -> None:
    destination = meta_shop()
    runner = world.runner(destination)
    order = world.order(campaign="meta:5:6")
    facebook.lose_answers = 1
    world.round(runner)
    facebook.behaviour.outage = True
    for _ in range(10):
        world.round(runner, after_s=5 * 3600)
    assert world.states(destination.config.name) == {order: ("dead", "outcome_unknown")}
    facebook.behaviour.outage = False
    assert world.log.redrive(destination=destination.config.name, now=world.clock.now) == 0
    world.round(runner, after_s=60)
    assert sum(map(len, facebook.counted.values())) == 1, "it had arrived, and did not arrive again"
    assert world.log.redrive(destination=destination.config.name, include_unknown=True, now=world.clock.now) == 1


def test_an_outage_loses_nothing(world: World, facebook, meta_shop) -> None:
    destination = meta_shop()
    runner = world.runner(destination)
    facebook.behaviour.outage = True
    orders = [world.order(campaign="meta:5:6") for _ in range(5)]
    for _ in range(4):
        world.round(runner, after_s=600)
    assert runner.statuses()[0].state == "behind"
    facebook.behaviour.outage = False
    world.round(runner, after_s=3_700)
    assert world.states(destination.config.name) == dict.fromkeys(orders, ("sent", ""))
    assert sum(map(len, facebook.counted.values())) == 5


def test_one_bad_event_does_not_hold_up_the_others(world: World, facebook, meta_shop) -> None:
    destination = meta_shop()
    runner = world.runner(destination)
    orders = [world.order(campaign="meta:5:6") for _ in range(9)]
    facebook.bad = {orders[4]}
    world.round(runner)
    found = world.states(destination.config.name)
    assert found.pop(orders[4]) == ("dead", "refused")
    assert set(found.values()) == {("sent", "")}
    assert "2804050" in world.uploads(destination.config.name)[orders[4]].detail
    assert facebook.repeated == 0


def test_when_everything_is_refused_it_is_not_the_events(world: World, facebook, meta_shop) -> None:
    destination = meta_shop()
    runner = world.runner(destination)
    orders = [world.order(campaign="meta:5:6") for _ in range(20)]
    facebook.bad = set(orders)
    world.round(runner)
    assert runner.statuses()[0].state == "stopped"
    states = list(world.states(destination.config.name).values())
    assert states.count(("dead", "refused")) == 5
    assert states.count(("pending", "stopped")) == 15
    facebook.bad = set()
    assert world.log.redrive(destination=destination.config.name, now=world.clock.now) == 5
    world.round(runner, after_s=3_700)
    assert set(world.states(destination.config.name).values()) == {("sent", "")}
    assert sum(map(len, facebook.counted.values())) == 20


def test_google_names_bad_events_and_the_rest_goes_in_one_further_request(world: World, google, google_shop) -> None:
    destination = google_shop()
    runner = world.runner(destination)
    orders = [world.order() for _ in range(5)]
    wrong = world.order(currency="XX")
    world.round(runner)
    found = world.states(destination.config.name)
    assert found.pop(wrong) == ("dead", "refused")
    assert found == dict.fromkeys(orders, ("accepted", ""))
    assert len(google.batches) == 1


def test_a_failure_that_google_only_counts_is_found_by_halves(world: World, google, google_shop) -> None:
    destination = google_shop()
    runner = world.runner(destination)
    orders = [world.order() for _ in range(6)]
    google.bad = {orders[2]: "INVALID_GCLID"}
    world.round(runner)
    for _ in range(6):
        world.round(runner, after_s=HALF_AN_HOUR_S)
    found = world.states(destination.config.name)
    assert found.pop(orders[2]) == ("dead", "refused")
    assert {state for state, _ in found.values()} == {"sent"}
    assert len(google.counted) == 5
    assert "INVALID_GCLID" in world.uploads(destination.config.name)[orders[2]].detail


def test_a_process_that_dies_between_claim_and_answer_sends_no_second_event(world: World, google, google_shop) -> None:
    destination = google_shop()
    order = world.order()

    class Killed(BaseException):
        pass

    send = destination.send

    def dies(*arguments, **named):  # type: ignore[no-untyped-def]  # as send
        send(*arguments, **named)
        raise Killed

    destination.send = dies  # the call is made, and nobody is left to read the answer
    with pytest.raises(Killed):
        world.round(world.runner(destination))
    assert world.states(destination.config.name) == {order: ("sending", "")}
    destination.send = send
    successor = world.runner(destination)
    world.round(successor, after_s=30)
    assert world.states(destination.config.name) == {order: ("sending", "")}, "it may still be under way"
    world.round(successor, after_s=300)
    world.round(successor, after_s=HALF_AN_HOUR_S)
    assert world.states(destination.config.name) == {order: ("sent", "already_there")}
    assert len(google.counted) == 1


def test_two_monitors_at_once_send_everything_once(world: World, facebook, meta_shop) -> None:
    destination = meta_shop()
    world.order(campaign="meta:5:6")
    world.match()
    one, other = world.runner(destination), world.runner(destination)
    send = destination.send

    def meanwhile(*arguments, **named):  # type: ignore[no-untyped-def]  # as send
        destination.send = send
        other.run_once(world.clock.now)
        return send(*arguments, **named)

    destination.send = meanwhile
    one.run_once(world.clock.now)
    assert len(facebook.batches) == 1


def test_a_rebuilt_store_leads_to_no_second_event(world: World, google, google_shop) -> None:
    destination = google_shop()
    order = world.order()
    world.round(world.runner(destination))
    world.store.command("TRUNCATE TABLE conversion_match")
    world.round(world.runner(destination), after_s=60)
    world.order()
    world.round(world.runner(destination), after_s=HALF_AN_HOUR_S)
    assert world.states(destination.config.name)[order] == ("sent", "")
    assert [event["transactionId"] for batch in google.batches for event in batch].count(order) == 1


def test_a_lost_control_database_leads_to_no_second_event(world: World, facebook, meta_shop) -> None:
    destination = meta_shop()
    order = world.order(campaign="meta:5:6")
    world.round(world.runner(destination))
    with world.control.begin() as connection:
        connection.execute(delete(uploads).where(uploads.c.destination == destination.config.name))
        connection.execute(delete(checkpoints).where(checkpoints.c.part == "uploads"))
    world.match()
    world.round(world.runner(destination), after_s=60)
    assert world.states(destination.config.name) == {order: ("sent", "already_there")}
    assert len(facebook.batches) == 1


def test_another_name_for_a_destination_leads_to_no_second_event(world: World, facebook, meta_shop) -> None:
    order = world.order(campaign="meta:5:6")
    world.round(world.runner(meta_shop()))
    world.round(world.runner(meta_shop(name=f"renamed-{world.client}")), after_s=60)
    assert world.states(f"meta-{world.client}") == {order: ("sent", "")}
    assert len(facebook.batches) == 1


def test_a_quota_is_respected_and_other_destinations_go_on(
    world: World, google, google_shop, facebook, meta_shop
) -> None:
    to_google, to_meta = google_shop(), meta_shop()
    runner = world.runner(to_google, to_meta)
    google.behaviour.quota_errors, google.behaviour.retry_after_s = 1, 900.0
    waits, goes = world.order(), world.order(campaign="meta:5:6")
    world.round(runner)
    assert world.states(to_google.config.name) == {waits: ("pending", "quota")}
    assert world.states(to_meta.config.name) == {goes: ("sent", "")}
    calls = len(google.requests)
    world.round(runner, after_s=600)
    assert len(google.requests) == calls
    world.round(runner, after_s=400)
    assert world.states(to_google.config.name) == {waits: ("accepted", "")}


def test_refused_credentials_stop_one_destination_with_its_word_until_they_are_mended(
    world: World, facebook, meta_shop
) -> None:
    destination = meta_shop()
    runner = world.runner(destination)
    facebook.credentials_file.write_text("EAABwrong")
    order = world.order(campaign="meta:5:6")
    world.round(runner)
    (status,) = runner.statuses()
    assert (status.state, "190" in status.detail) == ("stopped", True)
    assert world.states(destination.config.name) == {order: ("pending", "stopped")}
    facebook.credentials_file.write_text(facebook.token)
    world.round(runner, after_s=3_700)
    assert world.states(destination.config.name) == {order: ("sent", "")}


def test_what_could_not_be_delivered_in_time_is_a_dead_letter_that_people_see(
    world: World, facebook, meta_shop
) -> None:
    destination = meta_shop(give_up_s=30 * 86_400)
    runner = world.runner(destination)
    facebook.stop()
    order = world.order(campaign="meta:5:6")
    for _ in range(3):
        world.round(runner, after_s=3 * DAY_MS // 1000)
    assert world.states(destination.config.name) == {order: ("dead", "too_old")}


def test_a_store_that_does_not_answer_ends_the_round_and_nothing_else(world: World, facebook, meta_shop) -> None:
    destination = meta_shop()
    runner = world.runner(destination)

    class Silent:
        store_id = world.store.store_id

        def rows(self, *_: object) -> list[dict[str, object]]:
            raise StoreError("not now")

    silenced = world.runner(destination, store=Silent())
    order = world.order(campaign="meta:5:6")
    world.round(silenced)
    assert silenced.statuses()[0].state == "behind"
    world.round(runner, after_s=60)
    assert world.states(destination.config.name) == {order: ("sent", "")}


def test_a_round_that_is_to_finish_claims_nothing_more(world: World, facebook, meta_shop) -> None:
    destination = meta_shop(batch_size=1)
    runner = world.runner(destination)
    orders = [world.order(campaign="meta:5:6") for _ in range(3)]
    send = destination.send

    def stops(*arguments, **named):  # type: ignore[no-untyped-def]  # as send
        runner.finish()
        return send(*arguments, **named)

    destination.send = stops
    world.round(runner)
    assert sorted(world.states(destination.config.name).values()) == [("pending", ""), ("pending", ""), ("sent", "")]
    destination.send = send
    world.round(world.runner(destination), after_s=60)
    assert world.states(destination.config.name) == dict.fromkeys(orders, ("sent", ""))


def test_a_defect_of_one_destination_does_not_end_the_reports_to_the_others(
    world: World, facebook, meta_shop, google_shop
) -> None:
    broken, sound = google_shop(), meta_shop()
    world.order()
    order = world.order(campaign="meta:5:6")

    def breaks(*_arguments, **_named):  # type: ignore[no-untyped-def]  # as send
        raise ZeroDivisionError

    broken.send = breaks
    runner = world.runner(broken, sound)
    world.round(runner)
    assert [(status.state, status.detail) for status in runner.statuses()] == [
        ("stopped", "defect: ZeroDivisionError"),
        ("complete", ""),
    ]
    assert world.states(sound.config.name) == {order: ("sent", "")}
    assert {state for state, _ in world.states(broken.config.name).values()} == {"sending"}, "recovered when it is late"


def test_what_should_have_gone_out_is_measured_and_what_is_in_order_is_not(world: World, google, google_shop) -> None:
    destination = google_shop(wait_s=600)
    name = destination.config.name
    runner = world.runner(destination)

    def oldest_s() -> float:
        return REGISTRY.get_sample_value("clicktrace_uploads_oldest_waiting_seconds", {"destination": name}) or 0.0

    world.order()
    world.round(runner)
    assert oldest_s() == 0, "it waits for its first time"
    google.behaviour.outage = True
    world.round(runner, after_s=700)
    assert 690 < oldest_s() < 710
    google.behaviour.outage = False
    world.round(runner, after_s=700)
    assert oldest_s() == 0
    assert REGISTRY.get_sample_value("clicktrace_uploads", {"destination": name, "state": "accepted"}) == 1


def test_a_request_that_nobody_can_be_asked_about_does_not_hold_up_the_others(
    world: World, google, google_shop
) -> None:
    destination = google_shop()
    runner = world.runner(destination)
    silent = world.order()
    world.round(runner)
    outcome = destination.outcome

    def no_word(*_arguments, **_named):  # type: ignore[no-untyped-def]  # as outcome
        raise Transient("google", "500")

    destination.outcome = no_word
    later = world.order()
    world.round(runner, after_s=HALF_AN_HOUR_S)
    assert world.states(destination.config.name) == {silent: ("accepted", ""), later: ("accepted", "")}
    for _ in range(4):
        world.round(runner, after_s=86_400)
    destination.outcome = outcome
    world.round(runner, after_s=7 * 3_600)
    world.round(runner, after_s=7 * 3_600)
    assert {state for state, _ in world.states(destination.config.name).values()} == {"sent"}
    assert len(google.counted) == 2
