"""What a role may do in the console: what it may not is not offered, and refused when it is asked for all the same."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from catalog import open_catalog
from catalog.records import Image, Role
from catalog.rules.accounts.roles import ROLES, verb_of
from flows.registry import OPERATIONS
from tests.catalog.rules.promotion.builds import a_family
from tests.catalog.samples import a_replica, an_export, an_image
from tests.console.api.v1.test_listings import leftover, volume
from tests.console.api.v1.test_matrix import World, examples
from tests.console.login.conftest import OURS, Browser
from tests.console.look.test_error_wordings import IN_ENGLISH

WHO: Mapping[str, Role] = {"viewer": "viewer", "user": "user", "other": "user", "root": "admin"}
ABOUT_RUNS = {"recover_runs"}
"""Operations on runs: what they would do only the Prefect server knows."""
NUMBER = re.compile(rb"[0-9]+")
TABS = ("images", "exports", "bin", "leftovers", "volumes", "families")


@dataclass(frozen=True)
class Seen:
    """The team's image with what belongs to it, and one of others that everybody sees."""

    world: World
    public: Image


@pytest.fixture
def seen(browser: Browser) -> Seen:
    image = an_image(name="ci-mine", owner="team", status="Ready", family="ci", cpu_architecture="x86_64")
    public = an_image(name="public", owner="others", status="Ready", sharing_mode="global")
    binned = an_image(name="ci-gone", owner="team", status="Deleted", deleted_at=image.created_at)
    export, disk, left = an_export(image), volume(image.id, "team"), leftover(image.id)
    with open_catalog() as catalog, catalog.changing("admin") as change:
        change.save_family(a_family(name="ci"))
        for one in (image, public, binned):
            change.save_image(one)
        change.save_replica(a_replica(image, status="Ready"))
        change.save_export(export)
        change.save_volume(disk)
        change.save_leftover(left)
    return Seen(World(image, export.id, disk.id, left.id), public)


def flows_in(html: str) -> set[str]:
    """Return the operations that a page offers."""
    return set(re.findall(r'data-flow="([a-z_]+)"', html))


@pytest.mark.parametrize("name", WHO)
def test_no_page_offers_what_a_role_may_not_do(browser: Browser, seen: Seen, name: str) -> None:
    client = browser(name)
    pages = [client.get(f"/?tab={tab}").text for tab in (*TABS, "storages", "primary")] + [client.get("/access").text]
    offered = set().union(*map(flows_in, pages))
    assert {verb_of(OPERATIONS[flow].rights) for flow in offered} <= ROLES[WHO[name]]
    if name == "viewer":
        assert not offered
    if name == "user":
        assert {"add_volume_image", "edit_image", "delete_image", "export_image", "recover_image"} <= offered
        mine, public = (client.get(f"/images/{one.id}").text for one in (seen.world.image, seen.public))
        assert "edit_image" in flows_in(mine)
        assert "edit_image" not in flows_in(public)
        assert "create_volume" in flows_in(public)


@pytest.mark.parametrize("tab", TABS)
def test_what_an_account_does_not_see_is_on_no_page_of_it(browser: Browser, seen: Seen, tab: str) -> None:
    own, foreign = (browser(name).get(f"/table?tab={tab}").text for name in ("user", "other"))
    for word in (seen.world.image.id, "ci-mine", "ci-gone", seen.world.export, seen.world.volume, seen.world.leftover):
        assert word not in foreign
    assert "ci-" in own or seen.world.image.id in own


def test_an_image_that_is_not_seen_is_answered_as_one_that_is_not_there(browser: Browser, seen: Seen) -> None:
    client, nothing = browser("other"), "1b0e7a52-6c1f-4f0e-9d5a-2f6a3c1d8e90"
    for path in ("/images/{}", "/forms/edit_image?given=%7B%22image_id%22%3A%22{}%22%7D"):
        said = [
            (answer.status_code, answer.text.replace(one, "ID"))
            for one in (seen.world.image.id, nothing)
            if (answer := client.get(path.format(one)))
        ]
        assert said[0] == said[1]
        assert "ci-mine" not in said[0][1]
    linked = [client.post(f"/api/exports/{one}/link", headers=OURS) for one in (seen.world.export, nothing)]
    assert [answer.status_code for answer in linked] == [404, 404]
    assert linked[0].text == linked[1].text


@pytest.mark.parametrize("name", WHO)
def test_every_operation_is_refused_or_begun_as_the_role_has_it(browser: Browser, seen: Seen, name: str) -> None:
    client = browser(name)
    for operation, body in examples(seen.world).items():
        verb = verb_of(OPERATIONS[operation].rights)
        about = body.keys() & {"image_id", "image_ids", "volume_id", "leftover_ids", "a", "b"}
        answer = client.post(f"/api/flows/{operation}", json=body, headers=OURS)
        if verb not in ROLES[WHO[name]]:
            assert answer.status_code == 403, (operation, answer.text)
            if "plan_only" in OPERATIONS[operation].request.model_fields:
                planned = client.post(f"/api/plans/{operation}", json=body, headers=OURS)
                assert planned.status_code == 403, (operation, planned.text)
            assert client.get(f"/forms/{operation}").status_code == 403
        elif name == "other" and about:
            assert (answer.status_code, "ci-mine" in answer.text) == (422, False), (operation, answer.text)
        else:
            assert answer.status_code == 503, (operation, answer.text)  # nobody serves: it got so far
            assert client.get(f"/forms/{operation}").status_code == 200
        if verb_of(OPERATIONS[operation].rights) in ROLES[WHO[name]] and WHO[name] != "admin":
            foreign = client.post(f"/api/flows/{operation}", json={**body, "account": "admin"}, headers=OURS)
            assert foreign.status_code == 403, (operation, foreign.text)


def test_plans_are_made_without_a_prefect_server(browser: Browser, seen: Seen) -> None:
    client, asked = browser("root"), examples(seen.world)
    said = {
        operation: client.post(f"/api/plans/{operation}", json=asked[operation], headers=OURS)
        for operation, row in OPERATIONS.items()
        if "plan_only" in row.request.model_fields and operation not in ABOUT_RUNS
    }
    assert {operation: answer.text for operation, answer in said.items() if answer.status_code not in {200, 422}} == {}
    assert {"delete_image", "add_images", "purge_recycle_bin", "reconcile_storages"} <= {
        operation for operation, answer in said.items() if answer.status_code == 200
    }


@pytest.mark.parametrize(
    "body",
    [{"credentials": "env:KEY"}, {"image_path": "file:///etc/passwd"}, {"image_path": "https://u:{secret:x}@h/a"}],
)
def test_what_is_the_hosts_is_no_users(browser: Browser, seen: Seen, body: dict[str, str]) -> None:
    asked = {"name": "ci-new", "image_path": "https://example.org/a.raw", "image_format": "raw", **body}
    for path in ("/api/flows/add_volume_image", "/api/plans/add_volume_image"):
        assert browser("user").post(path, json=asked, headers=OURS).status_code == 403


def test_forms_ask_for_no_account_and_no_secret_of_the_host(browser: Browser, seen: Seen) -> None:
    own, root = (browser(name).get("/forms/add_volume_image").text for name in ("user", "root"))
    for field in ("account", "credentials"):
        assert f'name="{field}"' not in own
        assert f'name="{field}"' in root


@pytest.mark.parametrize("name", ["viewer", "user"])
def test_how_the_service_is_administrators_ask(browser: Browser, name: str) -> None:
    for path in ("/metrics", "/readyz"):
        assert browser(name).get(path).status_code == 403
        assert browser("root").get(path).status_code in (200, 503)


def test_a_viewer_sends_nothing_and_discards_nothing(browser: Browser) -> None:
    from tests.console.tus import TUS, creation

    user, viewer, other = browser("user"), browser("viewer"), browser("other")
    place = user.post("/uploads", headers=creation(10)).headers["Location"]
    upload_id = place.rpartition("/")[2]
    assert viewer.post("/uploads", headers=creation(10)).status_code == 403
    assert viewer.delete(place, headers=TUS).status_code == 403
    assert "Discard" not in viewer.get("/table?tab=uploads").text
    assert upload_id in viewer.get("/table?tab=uploads").text or "a.raw" in viewer.get("/table?tab=uploads").text
    assert "a.raw" not in other.get("/table?tab=uploads").text
    for method, path in (("HEAD", place), ("DELETE", place), ("GET", f"/api/uploads/{upload_id}/kept")):
        assert other.request(method, path, headers=TUS).status_code == 404
    announced = other.post(f"/api/uploads/{upload_id}/add_volume_image", json={"name": "x"}, headers=OURS)
    assert (announced.status_code, upload_id in announced.text) == (422, True)
    assert "a.raw" not in announced.text
    assert other.post(f"/api/retry/{upload_id}", headers=OURS, json={}).status_code == 422
    assert user.delete(place, headers=TUS).status_code == 204


def test_the_account_of_who_sends_is_put_in_and_no_other(browser: Browser) -> None:
    from catalog.settings import load_settings
    from storage.uploads import Uploads
    from tests.console.tus import creation

    user = browser("user")
    place = user.post("/uploads", headers=creation(10)).headers["Location"]
    kept = Uploads(load_settings()).get(place.rpartition("/")[2])
    assert (kept.owner, kept.identity, kept.door) == ("team", "user", "console")
    assert user.post("/uploads", headers=creation(10, account="others")).status_code == 403
    assert user.post("/uploads", headers=creation(10, credentials="env:KEY")).status_code == 403


def test_plans_are_said_in_the_language_of_whoever_asks_and_english_stays_as_it_is(
    browser: Browser, seen: Seen
) -> None:
    client, asked = browser("root"), examples(seen.world)
    operations = sorted(name for name, row in OPERATIONS.items() if "plan_only" in row.request.model_fields)
    for operation in [one for one in operations if one not in ABOUT_RUNS]:
        english, chinese = (
            client.post(f"/api/plans/{operation}", json=asked[operation], headers={**OURS, "Accept-Language": language})
            for language in ("en", "zh-CN,zh;q=0.9")
        )
        if english.status_code == 200:
            again = client.post(f"/api/plans/{operation}", json=asked[operation], headers=OURS)
            assert NUMBER.sub(b"", english.content) == NUMBER.sub(b"", again.content)  # room on the disk changes
            plan, said = english.json(), chinese.json()
            texts = [said["summary"], *(a[part] for a in said["actions"] for part in ("verb", "subject", "reason"))]
            assert [text for text in texts if IN_ENGLISH.search(text)] == [], operation
            assert (said["operation"], len(said["actions"])) == (plan["operation"], len(plan["actions"]))
            assert said["summary"] != plan["summary"], operation
