"""Reading: what the records say, page by page; and that what an identity may not see does not exist for it."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.records import Host, ImageStorage, Leftover, Scope, Volume
from catalog.repository.identities import registering
from console.api.v1 import pages
from tests.catalog.samples import a_replica, an_export, an_image
from tests.console.api.v1.people import bearer, everybody, service

Headers = Mapping[str, dict[str, str]]
API = "/api/v1"


class Held:
    """A team's image with everything that can belong to one, and one of another account."""

    def __init__(self) -> None:
        self.mine = an_image(name="ci-mine", owner="team", status="Ready", family="ci")
        self.theirs = an_image(name="theirs", owner="others", status="Ready")
        self.export, self.their_export = an_export(self.mine), an_export(self.theirs)
        with open_catalog() as catalog, catalog.changing("admin") as change:
            for image, export in ((self.mine, self.export), (self.theirs, self.their_export)):
                change.save_image(image)
                change.save_replica(a_replica(image, status="Ready"))
                change.save_export(export)
                change.save_leftover(leftover(image.id))
                change.save_volume(volume(image.id, image.owner))


def leftover(image_id: str) -> Leftover:
    now = datetime.now(UTC)
    return Leftover(
        id=str(uuid4()),
        image_id=image_id,
        image_storage="default",
        location="x",
        size_bytes=1,
        moved_to="far",
        created_at=now,
    )


def volume(image_id: str, owner: str) -> Volume:
    given = {"id": str(uuid4()), "name": "v", "image_id": image_id, "primary_storage": "default", "location": "/x"}
    facts = {"backing": "/b", "size_bytes": 1, "owner": owner, "created_at": datetime.now(UTC)}
    return Volume.model_validate(given | facts)


@pytest.fixture
def held(people: Headers) -> Held:
    return Held()


def names(api: TestClient, path: str, headers: dict[str, str], **query: object) -> list[str]:
    answer = api.get(f"{API}/{path}", headers=headers, params=query)
    assert answer.status_code == 200, answer.text
    return [str(item.get("name") or item.get("image_id")) for item in answer.json()["items"]]


def test_records_are_those_that_the_command_prints(api: TestClient, people: Headers, held: Held) -> None:
    shown = api.get(f"{API}/images/{held.mine.id}", headers=people["user"]).json()
    with open_catalog() as catalog:
        assert shown == catalog.image(held.mine.id).model_dump(mode="json")
    listed = api.get(f"{API}/exports", headers=people["user"]).json()
    assert listed == {"items": [held.export.model_dump(mode="json")], "next": None}


@pytest.mark.parametrize("path", ["images", "exports", "leftovers", "volumes"])
def test_each_sees_its_account_and_the_administrator_all(
    api: TestClient, people: Headers, held: Held, path: str
) -> None:
    of = {name: len(names(api, path, people[name])) for name in ("root", "user", "viewer", "other", "scoped robot")}
    assert of == {"root": 2, "user": 1, "viewer": 1, "other": 1, "scoped robot": 1}
    assert len(names(api, path, people["root"], account="team")) == 1
    refused = api.get(f"{API}/{path}", headers=people["user"], params={"account": "others"})
    assert (refused.status_code, refused.json()["type"]) == (403, "OtherAccount")


@pytest.mark.parametrize(
    "path", ["images/{image}", "images/{image}/replicas", "images/{image}/content", "images/{image}/extents", "exports/{export}",
             "exports/{export}/content"],
)  # fmt: skip
def test_what_may_not_be_seen_is_answered_as_what_is_not_there(
    api: TestClient, people: Headers, held: Held, path: str
) -> None:
    theirs, nothing = (
        {"image": held.theirs.id, "export": held.their_export.id}, {"image": str(uuid4()), "export": str(uuid4())},
    )  # fmt: skip
    for name in ("user", "viewer", "scoped robot"):
        answers = [api.get(f"{API}/{path.format(**ids)}", headers=people[name]) for ids in (theirs, nothing)]
        said = [
            (answer.status_code, answer.text.replace(ids["image"], "ID").replace(ids["export"], "ID"))
            for answer, ids in zip(answers, (theirs, nothing), strict=True)
        ]
        assert said[0] == said[1]
        assert said[0][0] == 404


def test_pages_lead_through_everything_once(api: TestClient, people: Headers) -> None:
    with open_catalog() as catalog, catalog.changing("admin") as change:
        for number in range(7):
            change.save_image(an_image(name=f"n{number}", owner="team"))
    found, cursor, count = [], None, 0
    while True:
        query = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = api.get(f"{API}/images", headers=people["user"], params=query).json()
        found += [item["name"] for item in page["items"]]
        cursor, count = page["next"], count + 1
        if cursor is None:
            break
    assert (sorted(found), count) == ([f"n{number}" for number in range(7)], 3)


def test_a_cursor_tells_nothing_and_is_good_for_its_own_listing_only(api: TestClient, people: Headers) -> None:
    with open_catalog() as catalog, catalog.changing("admin") as change:
        for number in range(3):
            change.save_image(an_image(name=f"n{number}", owner="team"))
    cursor = api.get(f"{API}/images", headers=people["user"], params={"limit": 1}).json()["next"]
    assert api.get(f"{API}/images", headers=people["user"], params={"limit": 1, "cursor": cursor}).status_code == 200
    for other in (
        ("images", people["viewer"], {"cursor": cursor}), ("images", people["user"], {"cursor": cursor, "owner": "team"}),
        ("bin", people["user"], {"cursor": cursor}), ("images", people["user"], {"cursor": cursor[:-4] + "AAAA"}),
        ("images", people["user"], {"cursor": "é"}), ("images", people["user"], {"cursor": "AAAA"}),
    ):  # fmt: skip
        answer = api.get(f"{API}/{other[0]}", headers=other[1], params=other[2])
        assert (answer.status_code, answer.json()["type"], answer.json()["parameter"]) == (
            422,
            "InvalidRequest",
            "cursor",
        )


def test_whoever_sees_little_of_much_gets_short_pages(
    api: TestClient, people: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LOOKED_AT", 4)
    mine = an_image(name="mine", owner="team", status="Ready")
    theirs = an_image(name="theirs", owner="others", status="Ready")
    with open_catalog() as catalog, catalog.changing("admin") as change:
        for image in (mine, theirs):
            change.save_image(image)
        change.save_export(an_export(mine))
        for _ in range(9):
            change.save_export(an_export(theirs))
    found, cursor, count = 0, None, 0
    while count == 0 or cursor:
        page = api.get(f"{API}/exports", headers=people["user"], params={"cursor": cursor} if cursor else {}).json()
        found, cursor, count = found + len(page["items"]), page["next"], count + 1
    assert (found, count) == (1, 3)


def test_filters(api: TestClient, people: Headers, held: Held) -> None:
    root = people["root"]
    assert names(api, "images", root, family="ci") == ["ci-mine"]
    assert names(api, "images", root, name_pattern="th*") == ["theirs"]
    assert names(api, "images", root, owner="team", status="Ready") == ["ci-mine"]
    assert names(api, "images", root, status="Error") == []
    assert names(api, "exports", root, image_id=held.mine.id) == [held.mine.id]
    assert api.get(f"{API}/families/ci/latest", headers=people["user"]).json()["id"] == held.mine.id
    assert api.get(f"{API}/families/ci/latest", headers=people["other"]).status_code == 404


@pytest.mark.parametrize(
    ("query", "status"),
    [({"status": "Nonsense"}, 422), ({"limit": 0}, 422), ({"limit": 501}, 422), ({"foo": "1"}, 422), ({"image_storage": "nowhere"}, 404),
     ({"owner": "\x00"}, 422), ({"name_pattern": "\x00"}, 422), ({"changed_since": "yesterday"}, 422), ({"account": "\x00"}, 422)],
)  # fmt: skip
def test_wrong_filters_are_said(api: TestClient, people: Headers, query: dict[str, str], status: int) -> None:
    answer = api.get(f"{API}/images", headers=people["root"], params=query)
    assert answer.status_code == status, answer.text
    assert {"type", "title", "status", "detail"} <= answer.json().keys()


def test_the_log_is_a_feed_that_goes_on(api: TestClient, people: Headers, held: Held) -> None:
    everything = api.get(f"{API}/events", headers=people["root"], params={"limit": 500}).json()["items"]
    last = everything[-1]["sequence"]
    with open_catalog() as catalog, catalog.changing("admin") as change:
        change.record("test.more", f"image:{held.mine.id}")
    more = api.get(f"{API}/events", headers=people["root"], params={"since": last}).json()["items"]
    assert [event["kind"] for event in more] == ["test.more"]
    seen = api.get(f"{API}/events", headers=people["user"]).json()["items"]
    assert {event["image_id"] for event in seen} == {held.mine.id}
    assert not any(event["subject"].startswith(("identity:", "token:")) for event in seen)


def test_a_token_for_reading_nothing_else(api: TestClient, people: Headers, held: Held) -> None:
    with open_catalog() as catalog:
        made = registering.create_token(catalog, "admin", "root", "user", Scope(verbs=("change",)), None)
    answer = api.get(f"{API}/images", headers=bearer(made.token))
    assert (answer.status_code, answer.json()["type"]) == (403, "NotAllowed")


def test_the_document_and_its_page_need_nothing_from_elsewhere(api: TestClient) -> None:
    document = api.get(f"{API}/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    page = api.get(f"{API}/docs")
    assert page.status_code == 200
    assert "/operations/add-system-image" in page.text
    assert not re.search(r"""(?:src|href|action)=(?:"(?![/#])|'(?![/#])|[^"'/#])|url\(|@import""", page.text)
    assert "<script" not in page.text


def test_names_of_secrets_are_an_administrators(api: TestClient, people: Headers) -> None:
    kept = {"name": "far", "kind": "imagestore", "url": "s3://bucket/p", "credentials": "env:STORE_KEY",
            "endpoint": "https://key:hunter2@s3.example:9000"}  # fmt: skip
    with open_catalog() as catalog, catalog.changing("admin") as change:
        change.save_image_storage(ImageStorage.model_validate({**kept, "created_at": datetime.now(UTC)}))
    for name in ("viewer", "user", "scoped robot"):
        said = api.get(f"{API}/storages", headers=people[name])
        assert said.status_code == 200
        assert "STORE_KEY" not in said.text
        assert "hunter2" not in said.text
        assert "far" in said.text
    far = next(
        one for one in api.get(f"{API}/storages", headers=people["root"]).json()["items"] if one["name"] == "far"
    )
    assert far["credentials"] == "env:STORE_KEY"


def test_each_hears_what_their_own_account_uses(api: TestClient, people: Headers, held: Held) -> None:
    def accounts(name: str, **query: str) -> list[str]:
        answer = api.get(f"{API}/usage", headers=people[name], params=query)
        assert answer.status_code == 200, answer.text
        return [one["account"] for one in answer.json()["items"]]

    assert accounts("user") == accounts("viewer") == ["team"]
    assert {"team", "others"} <= set(accounts("root"))
    assert accounts("root", account="others") == ["others"]
    assert api.get(f"{API}/usage", headers=people["user"], params={"account": "others"}).status_code == 403


def test_where_an_image_comes_from(api: TestClient, people: Headers, held: Held) -> None:
    said = api.get(f"{API}/images/{held.mine.id}/lineage", headers=people["user"])
    assert said.status_code == 200, said.text
    assert said.json()["_type"].startswith("https://in-toto.io/")


def test_hosts_and_differences(api: TestClient, people: Headers, held: Held) -> None:
    with open_catalog() as catalog, catalog.changing("system") as change:
        for name in ("a", "b", "c"):
            change.beat(Host(name=name, last_seen=datetime.now(UTC), created_at=datetime.now(UTC)))
    first = api.get(f"{API}/hosts", headers=people["root"], params={"limit": 2}).json()
    rest = api.get(f"{API}/hosts", headers=people["root"], params={"cursor": first["next"]}).json()
    assert [one["name"] for one in (*first["items"], *rest["items"])] == ["a", "b", "c"]
    long_ago = {"since": "2000-01-01T00:00:00Z"}
    changed = api.get(f"{API}/differences", headers=people["root"], params=long_ago).json()
    assert f"image:{held.mine.id}" in changed["appeared"]
    backwards = {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
    assert api.get(f"{API}/differences", headers=people["root"], params=backwards).status_code == 422


def test_who_asks_too_often_is_told_to_wait(home: Path, cheap_passwords: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_API_REQUESTS_PER_MINUTE", "3")
    people = everybody()
    with service() as api:
        answers = [api.get(f"{API}/whoami", headers=people["user"]) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert (answers[3].json()["type"], answers[3].headers["Retry-After"]) == ("TooManyRequests", "20")
        assert api.get(f"{API}/whoami", headers=people["viewer"]).status_code == 200
