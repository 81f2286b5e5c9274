"""Registering a storage again changes what was given and keeps the rest, from Python, a form or the command."""

import json
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import InvalidRequest
from catalog.records import ImageStorage, Plan, PrimaryStorage
from flows.command.app import build_app
from flows.registry import OPERATIONS
from flows.requests import AdoptStorage, RegisterImageStorage, RegisterPrimaryStorage

pytestmark = pytest.mark.prefect
CAP = 1 << 20


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FAR", "FAST"):
        monkeypatch.setenv(name, "user:password")


def register(**fields: object) -> ImageStorage | Plan:
    from flows import register_image_storage

    return register_image_storage(RegisterImageStorage.model_validate({"name": "far", **fields}))


def first(home: Path) -> ImageStorage:
    """Register a storage with every field that can be given, and disable it."""
    known = register(
        url=(home / "far").as_uri(), credentials="env:FAR", sync_network="127.0.0.0/8", capacity_bytes=9 << 30, reserve_bytes=7
    )  # fmt: skip
    assert isinstance(known, ImageStorage)
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image_storage(known.model_copy(update={"state": "Disabled"}))
        return change.image_storage("far")


def test_what_is_not_given_again_stays(home: Path) -> None:
    known = first(home)
    plan = register(bandwidth_bytes_s=CAP, plan_only=True)
    assert isinstance(plan, Plan)
    assert [action.reason for action in plan.actions] == [f"bandwidth_bytes_s None → {CAP}"]
    with open_catalog() as catalog:
        assert catalog.image_storage("far") == known
    expected = known.model_copy(update={"bandwidth_bytes_s": CAP})
    assert register(bandwidth_bytes_s=CAP) == expected
    assert register() == expected
    with open_catalog() as catalog:
        assert catalog.image_storage("far") == expected


def test_a_field_is_emptied_by_name_or_by_null(home: Path) -> None:
    known = first(home)
    cleared = register(clear=("capacity_bytes", "reserve_bytes"), credentials=None)
    emptied = {"capacity_bytes": None, "reserve_bytes": 1 << 30, "credentials": None}
    assert cleared == known.model_copy(update=emptied)
    with pytest.raises(InvalidRequest, match="clear: 'capacity_bytes' is not allowed; leave it out where"):
        register(clear=("capacity_bytes",), capacity_bytes=5)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": "new"}, "name: 'new' is not allowed; a storage that is registered, or a new one"),
        ({"name": "new", "url": "s3://key:hidden@bucket"}, "url: 'an address with a user in it' is not"),
        ({"endpoint": "http://key:hidden@127.0.0.1:9"}, "endpoint: 'an address with a user in it' is not"),
        (
            {"name": "new", "url": "file://data/images"},
            "url: 'file://data/images' is not allowed; file:///dir, three",
        ),
        (
            {"name": "new", "url": "file:///proc/none"},
            "url: 'file:///proc/none' is not allowed; a directory that can",
        ),
        ({"kind": "ceph"}, "a name of its own: it is imagestore at file:"),
        ({"url": "file:///elsewhere"}, "a name of its own: it is imagestore at file:"),
    ],
)
def test_a_new_storage_needs_a_place_and_a_known_one_keeps_its_own(
    home: Path, fields: dict[str, object], sentence: str
) -> None:
    first(home)
    for plan_only in (True, False):
        with pytest.raises(InvalidRequest, match=sentence):
            register(**fields, plan_only=plan_only)


def test_a_primary_storage_keeps_its_credentials(home: Path) -> None:
    from flows import register_primary_storage

    def asked(**fields: object) -> PrimaryStorage | Plan:
        return register_primary_storage(RegisterPrimaryStorage.model_validate({"name": "fast", **fields}))

    known = asked(url=(home / "fast").as_uri(), credentials="env:FAST")
    assert isinstance(known, PrimaryStorage)
    assert asked() == known
    plan = asked(clear=("credentials",), plan_only=True)
    assert isinstance(plan, Plan)
    assert [action.reason for action in plan.actions] == ["credentials 'env:FAST' → None"]
    assert asked(clear=("credentials",)) == known.model_copy(update={"credentials": None})


@pytest.mark.parametrize("flow", ["register_image_storage", "register_primary_storage"])
def test_a_form_sends_only_what_somebody_wrote_into_it(flow: str) -> None:
    model = OPERATIONS[flow].request
    filled = {name for name, facts in model.model_json_schema()["properties"].items() if "default" in facts}
    assert filled <= {"account", "plan_only", "clear"}
    untouched = {"name": "far", "url": "", "kind": None, "credentials": ""}
    assert model.model_validate(untouched).model_fields_set == {"name"}


def test_a_request_is_sent_on_as_it_was_given() -> None:
    asked = RegisterImageStorage(name="far", bandwidth_bytes_s=CAP)
    sent = json.loads(asked.model_dump_json())
    assert sent == {"name": "far", "bandwidth_bytes_s": CAP}
    assert RegisterImageStorage.model_validate(sent).model_fields_set == asked.model_fields_set


def test_options_that_were_not_written_are_not_given() -> None:
    words = [
        "register-image-storage",
        "--name",
        "far",
        "--bandwidth-bytes-s",
        str(CAP),
        "--clear",
        "endpoint",
    ]
    _, bound, _ = build_app().parse_args(words, exit_on_error=False, print_error=False)
    (request,) = bound.args
    assert request.model_fields_set == {"name", "bandwidth_bytes_s", "clear"}


@pytest.mark.parametrize("plan_only", [True, False])
def test_only_admin_registers_storages(home: Path, plan_only: bool) -> None:
    from flows import register_primary_storage

    asked = {"account": "bob", "plan_only": plan_only, "name": "far", "url": (home / "far").as_uri()}
    with pytest.raises(InvalidRequest, match=r"account: 'bob' is not allowed; .* only it may register image storages"):
        register(**asked)
    with pytest.raises(InvalidRequest, match="only it may register primary storages"):
        register_primary_storage(RegisterPrimaryStorage.model_validate(asked))
    with open_catalog() as catalog:
        assert "far" not in {storage.name for storage in catalog.image_storages()}
        assert "far" not in {storage.name for storage in catalog.primary_storages()}
    assert not (home / "far").exists()


@pytest.mark.parametrize("plan_only", [True, False])
def test_only_admin_adopts_what_a_storage_holds(home: Path, plan_only: bool) -> None:
    from flows import adopt_storage

    with pytest.raises(InvalidRequest, match="only it may adopt storages"):
        adopt_storage(AdoptStorage(image_storage="default", account="bob", plan_only=plan_only))
