"""Who may do what: every operation and every listing, asked by each kind of person and robot.

The expectation follows from the roles and the operation's row; what is compared are real answers. A new operation has to have an
example here, a new listing a path: else this fails.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import uuid4

import pytest
from argon2 import PasswordHasher
from fastapi.routing import APIRoute
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.records import Image, SignedIn
from catalog.repository.identities import proofs
from catalog.repository.identities.sign_in import signed_in
from catalog.rules.accounts.roles import ROLES, verb_of
from console.api.v1 import figures, listings
from flows.registry import OPERATIONS
from flows.server.password import CLIENT
from tests.catalog.samples import an_export, an_image
from tests.console.api.v1.people import everybody, service
from tests.console.api.v1.test_listings import leftover, volume
from tests.services.prefect import UNRECORDED, prefect_server

pytestmark = pytest.mark.xdist_group("matrix")

API = "/api/v1"
WHO = ("nobody", "viewer", "user", "other", "root", "scoped robot", "expired robot", "disabled")
UNKNOWN = ("nobody", "expired robot", "disabled")
ADDED: dict[str, object] = {"name": "ci-new", "image_path": "https://example.org/a.raw", "image_format": "raw"}
MANY: dict[str, object] = {"requests": [{**ADDED, "image_type": "Volume"}]}


@dataclass(frozen=True)
class World:
    """A team's image within the robot's scope, with what belongs to it."""

    image: Image
    export: str
    volume: str
    leftover: str


def examples(world: World) -> Mapping[str, dict[str, object]]:
    """Return a request for each operation: about the team's image, where it is about one."""
    one: dict[str, object] = {"image_id": world.image.id}
    several: dict[str, object] = {"image_ids": [world.image.id]}
    storage: dict[str, object] = {"name": "far", "kind": "imagestore", "url": "file:///srv/far"}
    return {
        "set_account": {"name": "team"},
        "add_system_image": ADDED,
        "add_volume_image": ADDED,
        "add_images": MANY,
        "edit_image": {**one, "description": "x"},
        "enable_image": several,
        "disable_image": several,
        "export_image": one,
        "delete_exported_image": one,
        "set_sharing_mode": {**one, "mode": "global"},
        "delete_image": several,
        "recover_image": several,
        "expunge_image": several,
        "boot_check": one,
        "purge_recycle_bin": {},
        "sync_images": {**several, "source": "default", "target": "far"},
        "change_image_storage": {**one, "source": "default", "target": "far"},
        "clean_up_leftovers": {"leftover_ids": [world.leftover]},
        "verify_replicas": {},
        "register_image_storage": storage,
        "set_image_storage_state": {"name": "default", "state": "Enabled"},
        "register_primary_storage": {"name": "far", "kind": "local", "url": "file:///srv/far"},
        "adopt_storage": {"image_storage": "default"},
        "reclaim_space": {},
        "compact_storage": {},
        "reconcile_storages": {},
        "check_quality": {},
        "retry_deferred": {},
        "recover_runs": {},
        "create_volume": {**one, "name": "v"},
        "delete_volume": {"volume_id": world.volume},
        "clean_image_cache": {},
        "set_watch": {"name": "w", "family": "ci", "kind": "url", "url": "https://example.org/x"},
        "delete_watch": {"name": "w"},
        "check_watches": {},
        "inspect_contents": one,
        "compare_images": {"a": world.image.id, "b": world.image.id},
        "find_vulnerabilities": {**one, "osv": "https://example.org/all.zip"},
        "apply_life_cycle": {},
        "apply_catalogue": {"catalogue": {"families": [{"name": "ci"}]}},
        "set_family": {"name": "ci"},
        "delete_family": {"name": "ci"},
        "promote_image": {**one, "family": "ci"},
        "roll_back_family": {"family": "ci"},
        "recall_image": {**one, "reason": "a hole"},
        "drain_host": {"name": "a"},
        "resume_host": {"name": "a"},
        "set_webhook": {"name": "w", "url": "https://example.org/w", "secret": "env:NONE"},
        "delete_webhook": {"name": "w"},
        "deliver_webhooks": {},
    }


LISTED = {
    "/images": True, "/bin": True, "/exports": True, "/leftovers": True, "/storages": True, "/volumes": True, "/events": True,
    "/usage": True,
    "/families": True, "/watches": True, "/promotions": True,
}  # fmt: skip
"""Listings: whoever may read gets what they see of it."""
OF_ADMINISTRATORS = {
    "/hosts": {}, "/pending": {}, "/accounts": {}, "/webhooks": {}, "/deliveries": {},
    "/differences": {"since": "2026-01-01T00:00:00Z"},
}  # fmt: skip
"""What tells of all accounts, with what has to be asked."""
ONE = {
    "/images/{image_id}": "image", "/images/{image_id}/replicas": "image", "/images/{image_id}/lineage": "image", "/exports/{export_id}": "export",
    "/volumes/{volume_id}": "volume", "/families/{family}/latest": "family",
}  # fmt: skip
"""Single things: those who don't see them are told that they are not there."""


@pytest.fixture(scope="module")
def home_of_module(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[None]:
    """A home whose operations are begun on a real Prefect server, and taken up by nobody."""
    folder, patch = tmp_path_factory.mktemp("matrix"), pytest.MonkeyPatch()
    cheap = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    patch.setattr(proofs, "_hasher", lambda: cheap)
    settings = {"IMAGEWRIGHT_HOME": str(folder / "home"), "IMAGEWRIGHT_CATALOG_URL": ""}
    for name, value in settings.items():
        patch.setenv(name, value)
    with prefect_server(folder, request.config.cache.mkdir("prefect"), {**settings, **UNRECORDED}) as server:
        told = {PREFECT_API_URL: server.api, PREFECT_API_AUTH_STRING: server.environment[CLIENT]}
        with temporary_settings(told):
            yield
    patch.undo()


@pytest.fixture(scope="module")
def world(home_of_module: None) -> World:
    image = an_image(name="ci-mine", owner="team", status="Ready", family="ci", cpu_architecture="x86_64")
    export, disk, left = an_export(image), volume(image.id, "team"), leftover(image.id)
    with open_catalog() as catalog, catalog.changing("admin") as change:
        change.save_image(image)
        change.save_export(export)
        change.save_volume(disk)
        change.save_leftover(left)
    return World(image, export.id, disk.id, left.id)


@pytest.fixture(scope="module")
def people(world: World) -> Mapping[str, dict[str, str]]:
    return everybody()


@pytest.fixture(scope="module")
def api(people: Mapping[str, dict[str, str]]) -> Iterator[TestClient]:
    with service() as client:
        yield client


def known(headers: dict[str, str]) -> SignedIn:
    with open_catalog() as catalog:
        return signed_in(catalog, headers["Authorization"].removeprefix("Bearer "))


def without_ids(world: World, body: dict[str, object]) -> tuple[dict[str, object], dict[str, str]]:
    """Return a request about things that nobody has, and which id stands for which in it."""
    others = {one: str(uuid4()) for one in (world.image.id, world.export, world.volume, world.leftover)}
    text = json.dumps(body)
    for one, other in others.items():
        text = text.replace(one, other)
    changed: dict[str, object] = json.loads(text)
    return changed, others if changed != body else {}


def expected(name: str, who: SignedIn | None, operation: str, body: Mapping[str, object]) -> int:
    """Return the answer that roles, row and scope come to."""
    if who is None:
        return 401
    if verb_of(OPERATIONS[operation].rights) not in ROLES[who.identity.role]:
        return 403
    about = body.keys() & {"image_id", "image_ids", "a", "b", "volume_id", "leftover_ids"}
    if name == "other" and about:
        return 404
    if name == "scoped robot" and not (about & {"image_id", "image_ids", "a", "b"}) and body not in (ADDED, MANY):
        return 403
    return 202


def test_there_is_an_example_of_each_operation_and_a_path_of_each_listing(world: World) -> None:
    assert set(examples(world)) == set(OPERATIONS)
    read = {route.path for room in (listings, figures) for route in room.router.routes if isinstance(route, APIRoute)}
    assert read == set(LISTED) | set(OF_ADMINISTRATORS) | set(ONE)


@pytest.mark.parametrize("name", WHO)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations(
    api: TestClient, people: Mapping[str, dict[str, str]], world: World, operation: str, name: str
) -> None:
    body = examples(world)[operation]
    who = None if name in UNKNOWN else known(people[name])
    answer = api.post(f"{API}/operations/{OPERATIONS[operation].deployment}", json=body, headers=people[name])
    assert answer.status_code == expected(name, who, operation, body), answer.text


@pytest.mark.parametrize("name", ["viewer", "user", "other", "scoped robot"])
def test_who_may_not_see_a_thing_is_answered_as_if_it_were_not_there(
    api: TestClient, people: Mapping[str, dict[str, str]], world: World, name: str
) -> None:
    hidden = 0
    for operation, body in examples(world).items():
        nothing, ids = without_ids(world, body)
        who, path = known(people[name]), f"{API}/operations/{OPERATIONS[operation].deployment}"
        status = expected(name, who, operation, body)
        if not ids or status == 202:
            continue
        theirs, none = (api.post(path, json=asked, headers=people[name]) for asked in (body, nothing))
        text = none.text
        for one, other in ids.items():
            text = text.replace(other, one)
        assert (theirs.status_code, theirs.text) == (status, text), operation
        assert theirs.headers.keys() == none.headers.keys()
        hidden += status == 404
    assert (hidden > 15) == (name == "other")


@pytest.mark.parametrize("name", WHO)
@pytest.mark.parametrize("path", LISTED)
def test_listings(api: TestClient, people: Mapping[str, dict[str, str]], world: World, path: str, name: str) -> None:
    answer = api.get(f"{API}{path}", headers=people[name])
    assert answer.status_code == (401 if name in UNKNOWN else 200), answer.text
    if name == "other":
        assert world.image.id not in answer.text


@pytest.mark.parametrize("name", WHO)
@pytest.mark.parametrize("path", OF_ADMINISTRATORS)
def test_what_is_an_administrators(api: TestClient, people: Mapping[str, dict[str, str]], path: str, name: str) -> None:
    answer = api.get(f"{API}{path}", headers=people[name], params=OF_ADMINISTRATORS[path])
    assert answer.status_code == (401 if name in UNKNOWN else 200 if name == "root" else 403), answer.text


@pytest.mark.parametrize("name", WHO)
@pytest.mark.parametrize("path", ONE)
def test_single_things(
    api: TestClient, people: Mapping[str, dict[str, str]], world: World, path: str, name: str
) -> None:
    ids = {"image_id": world.image.id, "export_id": world.export, "volume_id": world.volume, "family": "ci"}
    answer = api.get(f"{API}{path.format(**ids)}", headers=people[name])
    assert answer.status_code == (401 if name in UNKNOWN else 404 if name == "other" else 200), answer.text


@pytest.mark.parametrize("operation", OPERATIONS)
def test_nobody_but_an_administrator_asks_for_another_account(
    api: TestClient, people: Mapping[str, dict[str, str]], world: World, operation: str
) -> None:
    body = {**examples(world)[operation], "account": "others"}
    path = f"{API}/operations/{OPERATIONS[operation].deployment}"
    assert api.post(path, json=body, headers=people["user"]).status_code == 403
    assert api.post(path, json=body, headers=people["root"]).status_code in (202, 404)


@pytest.mark.parametrize(
    "one",
    [
        {"account": "others"},
        {"credentials": "env:KEY"},
        {"image_path": "file:///etc/passwd"},
        {"image_path": "https://u:{secret:x}@example.org/a.raw"},
    ],
    ids=["account", "credentials", "file", "secret"],
)
def test_what_may_not_be_asked_alone_may_not_be_asked_among_many(
    api: TestClient, people: Mapping[str, dict[str, str]], one: dict[str, str]
) -> None:
    for body, operation in (
        ({**ADDED, **one}, "add-volume-image"),
        ({"requests": [ADDED, {**ADDED, **one}]}, "add-images"),
    ):
        answer = api.post(f"{API}/operations/{operation}", json=body, headers=people["user"])
        assert answer.status_code == 403, answer.text


@pytest.mark.parametrize(
    "osv", ["/srv/osv", "file:///srv/osv.zip", "FILE:///srv/osv.zip", "https://u:{secret:x}@example.org/all.zip"]
)
def test_an_export_on_the_host_or_by_a_secret_is_an_administrators_to_name(
    api: TestClient, people: Mapping[str, dict[str, str]], world: World, osv: str
) -> None:
    body, path = {"image_id": world.image.id, "osv": osv}, f"{API}/operations/find-vulnerabilities"
    assert api.post(path, json=body, headers=people["user"]).status_code == 403
    assert api.post(path, json=body, headers=people["root"]).status_code == 202


def test_a_robot_for_some_images_adds_no_others_among_many(
    api: TestClient, people: Mapping[str, dict[str, str]]
) -> None:
    body = {"requests": [ADDED, {**ADDED, "name": "another"}]}
    assert api.post(f"{API}/operations/add-images", json=body, headers=people["scoped robot"]).status_code == 403
