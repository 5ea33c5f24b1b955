"""Every change with its author, undo, and what happens when two people change the same link."""

from __future__ import annotations

from fastapi.testclient import TestClient

from .conftest import Keys

SHOP = "https://shop.example/"
SPRING = {"slug": "spring", "destination": f"{SHOP}p"}


def test_history_says_who_changed_what_from_what_to_what(api: TestClient, keys: Keys) -> None:
    api.post("", json=SPRING | {"tags": ["a"]})
    api.patch("/spring", json={"destination": f"{SHOP}q", "tags": ["a", "b"]}, headers=keys.of("kim"))
    api.delete("/spring")
    answer = api.get("/spring/history").json()
    assert [(change["version"], change["author"], change["changed"]) for change in answer["changes"]] == [
        (1, "eva", {}),
        (
            2,
            "kim",
            {
                "destination": {"before": f"{SHOP}p", "after": f"{SHOP}q"},
                "tags": {"before": ["a"], "after": ["a", "b"]},
            },
        ),
        (3, "eva", {"disabled": {"before": False, "after": True}}),
    ]
    assert answer["changes"][0]["definition"] == {**SPRING, "tags": ["a"]}
    assert answer["next"] is None


def test_history_comes_in_pages_that_lose_no_difference(api: TestClient) -> None:
    api.post("", json=SPRING)
    for number in range(4):
        api.patch("/spring", json={"note": str(number)})
    found, cursor = [], "0"
    while cursor is not None:
        page = api.get("/spring/history", params={"cursor": cursor, "limit": 2}).json()
        found += [(change["version"], list(change["changed"])) for change in page["changes"]]
        cursor = page["next"]
    assert found == [(1, []), (2, ["note"]), (3, ["note"]), (4, ["note"]), (5, ["note"])]


def test_undo_brings_back_the_version_before_and_undone_again_the_change(api: TestClient, keys: Keys) -> None:
    api.post("", json=SPRING)
    api.patch("/spring", json={"destination": f"{SHOP}q", "note": "n"})
    undone = api.post("/spring/undo", headers=keys.of("kim")).json()
    assert (undone["destination"], undone["note"], undone["version"]) == (f"{SHOP}p", "", 3)
    again = api.post("/spring/undo").json()
    assert (again["destination"], again["note"], again["version"]) == (f"{SHOP}q", "n", 4)
    authors = [change["author"] for change in api.get("/spring/history").json()["changes"]]
    assert authors == ["eva", "eva", "kim", "eva"]
    assert api.post("/spring/undo", json={"to": 1}).json()["destination"] == f"{SHOP}p"
    assert api.post("/spring/undo", json={"to": 5}).json()["version"] == 5, "the version that is there makes no new one"


def test_what_cannot_be_undone_is_said(api: TestClient) -> None:
    api.post("", json=SPRING)
    for body, status, reason in (
        (None, 409, "nothing_to_undo"),
        ({"to": 7}, 404, "unknown_version"),
        ({"version": 2, "to": 1}, 409, "changed_meanwhile"),
    ):
        answer = api.post("/spring/undo", json=body)
        assert (answer.status_code, answer.json()["reason"]) == (status, reason)


def test_an_undone_edit_is_found_by_its_old_words_again(api: TestClient) -> None:
    api.post("", json=SPRING | {"tags": ["old"], "note": "first"})
    api.patch("/spring", json={"tags": ["new"], "note": "second"})
    api.post("/spring/undo")
    assert [tag["tag"] for tag in api.get("/tags").json()["tags"]] == ["old"]
    assert len(api.get("", params={"search": "FIRST"}).json()["links"]) == 1
    assert api.get("", params={"search": "second"}).json()["links"] == []


def test_of_two_people_the_second_one_hears_that_the_link_has_changed(api: TestClient) -> None:
    seen = api.post("", json=SPRING)
    assert seen.headers["etag"] == '"1"'
    assert api.get("/spring").headers["etag"] == '"1"'
    first = api.patch("/spring", json={"note": "mine"}, headers={"If-Match": '"1"'})
    assert (first.status_code, first.headers["etag"]) == (200, '"2"')
    for call in (
        api.patch("/spring", json={"note": "theirs"}, headers={"If-Match": '"1"'}),
        api.delete("/spring", headers={"If-Match": 'W/"2"'}),
        api.post("/spring/undo", headers={"If-Match": "nonsense"}),
    ):
        assert (call.status_code, call.json()["reason"]) == (412, "changed_meanwhile")
    old = api.patch("/spring", json={"note": "theirs", "version": 1})
    assert (old.status_code, old.json()["reason"]) == (409, "changed_meanwhile")
    assert api.get("/spring").json()["note"] == "mine"
    assert api.patch("/spring", json={"note": "x", "version": 2}, headers={"If-Match": '"1", "2"'}).status_code == 200
    assert api.patch("/spring", json={"note": "y"}, headers={"If-Match": "*"}).status_code == 200


def test_versions_of_another_client_stay_hidden(api: TestClient, keys: Keys) -> None:
    acme = keys.of("bob", "acme")
    api.post("", json=SPRING | {"client": "other", "note": "secret of other"})
    api.patch("/spring", json={"client": "acme", "note": ""})
    api.patch("/spring", json={"note": "ours"}, headers=acme)
    changes = api.get("/spring/history", headers=acme).json()["changes"]
    assert [(change["version"], change["changed"]) for change in changes] == [
        (2, {}),
        (3, {"note": {"before": "", "after": "ours"}}),
    ]
    assert api.post("/spring/undo", headers=acme).status_code == 200
    for body in ({"to": 1}, {"to": 1, "version": 4}):
        refused = api.post("/spring/undo", json=body, headers=acme)
        assert (refused.status_code, refused.json()["reason"]) == (409, "nothing_to_undo")
    assert api.get("/spring").json()["client"] == "acme"
