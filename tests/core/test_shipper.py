from core.records import Click, Touch


def click(i, ts=1_790_000_000_000):
    return Click(
        ts=ts,
        source="redirect",
        click_id=f"{i + 1:032x}",
        hit_id=f"{i + 1:016x}",
        link_id="l",
        link_version=1,
        slug="s",
        domain="go.example",
        http_status=302,
        reason="",
        duration_us=10,
    )


def test_it(journal, ship, store, clock):
    for i in range(100):
        journal.append(click(i))
    journal.append(Touch(ts=5, source="x", name="page_view"))
    print(ship())
    assert store.rows("select count() as n from click")[0]["n"] == 100
    assert ship.shipper.shipped_through(clock.now + 5) == clock.now - 1
    print(store.rows("select * from click limit 1"))
    journal.append(click(5))
    print(ship())
    assert store.rows("select count() as n from click")[0]["n"] == 101
