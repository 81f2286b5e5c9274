"""Stable addresses: the latest of a family leads to bytes that are named by their digest; the tree is one that simplestreams clients read."""

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.records import Image
from storage.sources.watched.simplestreams import items_in, products_in
from tasks.promotion.family import set_family
from tests.console.api.v1.people import everybody, service
from tests.flows.managed import placed

LATEST = "/f/debian/latest"
TREE = "/simplestreams"


@pytest.fixture
def api(home: Path, cheap_passwords: None) -> Iterator[TestClient]:
    with service(follow_redirects=False) as client:
        yield client


@pytest.fixture
def people(api: TestClient) -> Mapping[str, dict[str, str]]:
    set_family.fn({"name": "debian"}, "admin")
    return everybody()


def build(version: str, data: bytes, **fields: object) -> Image:
    given: dict[str, object] = {
        "name": f"debian-{version}", "family": "debian", "build_version": version, "owner": "team", "image_type": "System",
        "cpu_architecture": "x86_64",
    }  # fmt: skip
    return placed(data, ("default",), **{**given, **fields})


def promoted(*images: Image) -> None:
    with open_catalog() as catalog, catalog.changing("admin") as change:
        for image in images:
            change.promote("debian", image, "newer")


def test_the_latest_leads_to_bytes_that_are_named_by_their_digest(
    api: TestClient, people: Mapping[str, dict[str, str]]
) -> None:
    old, new = os.urandom(5000), os.urandom(6000)
    first, second = build("1.0", old), build("1.1", new)
    promoted(first, second)
    answer = api.get(LATEST, headers=people["viewer"])
    digest = hashlib.sha256(new).hexdigest()
    assert (answer.status_code, answer.headers["cache-control"]) == (302, "no-store")
    assert answer.headers["location"] == f"{TREE}/images/debian/{digest}/debian-1.1-v1.raw"
    content = api.get(answer.headers["location"], headers=people["viewer"])
    assert (content.status_code, content.content == new) == (200, True)
    assert "immutable" in content.headers["cache-control"]
    part = api.get(answer.headers["location"], headers={**people["viewer"], "Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, new[10:20])
    assert api.head(LATEST, headers=people["viewer"]).status_code == 302
    with open_catalog() as catalog, catalog.changing("admin") as change:
        change.go_back("debian", "x86_64", first, "it does not start")
    back = api.get(LATEST, headers=people["viewer"]).headers["location"]
    assert hashlib.sha256(old).hexdigest() in back


def test_who_does_not_see_it_is_told_that_it_is_not_there(
    api: TestClient, people: Mapping[str, dict[str, str]]
) -> None:
    image = build("1.0", os.urandom(1000))
    promoted(image)
    where = api.get(LATEST, headers=people["viewer"]).headers["location"]
    for path in (LATEST, where):
        assert api.get(path, headers=people["other"]).status_code == 404
        for name in ("nobody", "expired robot", "disabled"):
            refused = api.get(path, headers=people[name])
            assert (refused.status_code, "Basic" in refused.headers["www-authenticate"]) == (401, True)
    assert api.get(f"{TREE}/streams/v1/images.json", headers=people["other"]).json()["products"] == {}
    assert api.get(LATEST, params={"arch": "aarch64"}, headers=people["viewer"]).status_code == 404
    assert api.get(LATEST, params={"arch": "vax"}, headers=people["viewer"]).status_code == 422
    assert (
        api.get(
            LATEST, headers={"Authorization": "Basic " + base64.b64encode(b"imagewright:operators").decode()}
        ).status_code
        == 401
    )


def test_a_token_may_come_as_the_password_of_an_address(api: TestClient, people: Mapping[str, dict[str, str]]) -> None:
    promoted(build("1.0", os.urandom(1000)))
    token = people["viewer"]["Authorization"].removeprefix("Bearer ")
    assert api.get(LATEST, auth=("anybody", token)).status_code == 302
    for given in ("Basic !!", "Basic " + base64.b64encode(b"\xff:\xff").decode(), "Digest x", "Bearer", ""):
        assert api.get(LATEST, headers={"Authorization": given}).status_code == 401


def test_the_tree_is_one_that_a_simplestreams_client_follows_to_the_bytes(
    api: TestClient, people: Mapping[str, dict[str, str]]
) -> None:
    datas = {version: os.urandom(2000) for version in ("1.9", "1.10", "1.11")}
    images = [build(version, data) for version, data in datas.items()]
    never = build("2.0", os.urandom(500))  # was never promoted
    promoted(*images)
    with open_catalog() as catalog, catalog.changing("admin") as change:
        change.go_back("debian", "x86_64", images[1], "1.11 does not start")
    index = api.get(f"{TREE}/streams/v1/index.json", headers=people["viewer"])
    (place,) = products_in(index.content, "x")
    products = api.get(f"{TREE}/{place}", headers=people["viewer"])
    found = {item.version: item for item in items_in(products.content, "x")}
    assert set(found) == {"1.9", "1.10"}
    assert never.id not in products.text
    for version, item in found.items():
        content = api.get(f"{TREE}/{item.path}", headers=people["viewer"]).content
        assert (content, hashlib.sha256(content).hexdigest(), item.arch) == (datas[version], item.sha256, "amd64")
    again = api.get(
        f"{TREE}/streams/v1/index.json", headers={**people["viewer"], "If-None-Match": index.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


def test_a_digest_of_what_is_recalled_or_elsewhere_is_not_there(
    api: TestClient, people: Mapping[str, dict[str, str]]
) -> None:
    image = build("1.0", data := os.urandom(1000))
    path = f"{TREE}/images/debian/{hashlib.sha256(data).hexdigest()}/x"
    assert api.get(path, headers=people["viewer"]).content == data
    assert api.get(path.replace("debian", "other"), headers=people["viewer"]).status_code == 404
    with open_catalog() as catalog, catalog.changing("admin") as change:
        change.save_image(image.model_copy(update={"recalled": "a hole", "state": "Disabled"}))
    assert api.get(path, headers=people["viewer"]).status_code == 404
