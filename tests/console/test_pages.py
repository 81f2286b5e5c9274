"""Tabs, details and forms: every one on an empty and on a filled catalog, and nothing that is said becomes markup."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.records import Image, ImageStatus, ImageStorage, Leftover, PrimaryStorage, Volume
from catalog.settings import Settings, load_settings
from console import pages, sorting
from console.app import create_app
from console.forms import fields_of
from console.grave import GRAVE
from console.named import named
from console.pages import Pages
from console.rows import OPERATIONS, Row, allowed
from console.tabs import PAGE, TABS
from flows import FLOWS
from flows.command import request_model
from flows.requests import EditImage
from storage.uploads import Upload, Uploads
from tests.catalog.samples import a_replica, an_export, an_image

HOSTILE = "<script>alert('x')</script>\"&"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path))
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # nobody is there
    return load_settings()


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=Pages(settings).routes())) as client:
        yield client


def filled(count: int = 1) -> Image:
    """Put one of everything into the catalog, hostile wherever a text is free; return the first image."""
    images = [
        an_image(name=f"image {n}", status=ImageStatus.ERROR, description=HOSTILE, error=HOSTILE, os=HOSTILE)
        for n in range(count)
    ]
    first = images[0]
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        for image in images:
            change.save_image(image)
        change.save_image(an_image(name="binned", status=ImageStatus.DELETED, deleted_at=NOW))
        change.save_replica(a_replica(first, error=HOSTILE))
        change.save_export(an_export(first, path=f"/x/{HOSTILE}"))
        change.save_leftover(
            Leftover(
                id="l", image_id=first.id, image_storage="default", location=HOSTILE, size_bytes=1, moved_to="b",
                created_at=NOW,
            )
        )  # fmt: skip
        change.save_primary_storage(PrimaryStorage(name="p", kind="local", url="file:///p", created_at=NOW))
        change.save_volume(
            Volume(
                id="v", name=HOSTILE, image_id=first.id, primary_storage="p", location=HOSTILE, backing="", size_bytes=1,
                created_at=NOW,
            )
        )  # fmt: skip
    return first


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_of_an_empty_catalog(client: TestClient, tab: str) -> None:
    answer = client.get(f"/?tab={tab}")
    assert answer.status_code == 200
    assert TABS[tab].title in answer.text
    assert ('class="empty"' in answer.text) == (tab not in {"storages", "primary"})


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_of_a_filled_catalog(client: TestClient, tab: str) -> None:
    filled()
    for answer in (client.get(f"/?tab={tab}"), client.get(f"/table?tab={tab}")):
        assert (answer.status_code, 'class="empty"' in answer.text) == (200, tab == "uploads")
        assert "<script>alert" not in answer.text
        assert tab == "uploads" or "Actions" in answer.text


def test_details_say_everything_and_escape_it(client: TestClient) -> None:
    image = filled()
    text = client.get(f"/images/{image.id}").text
    assert "<script>alert" not in text
    for told in (image.id, "&lt;script&gt;", "imagewright.", "never", "0 B" if not image.size_bytes else ""):
        assert told in text


def test_what_is_not_there_is_said_in_a_sentence(client: TestClient) -> None:
    for path in ("/images/nothing", "/images/<b>", "/?tab=nothing", "/?tab=<b>", "/table?tab="):
        answer = client.get(path)
        assert (answer.status_code, "<b>" in answer.text) == (404, False)
    nested = f"/forms/edit_image?given={'[' * 5000}"
    for path in ("/forms/nothing", "/forms/edit_image?given=x", "/forms/edit_image?given=[]", nested):
        assert client.get(path).status_code == 404


def test_a_catalog_that_does_not_answer_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_CATALOG_URL", f"sqlite:///{settings.home}/no folder/catalog.db")
    app = create_app(load_settings())
    with TestClient(app, base_url="http://127.0.0.1") as broken:
        (settings.home / "no folder").write_text("a file")
        for path in ("/", "/table", "/images/x"):
            answer = broken.get(path)
            assert (answer.status_code, "is unavailable" in answer.text) == (503, True), answer.text


def test_pages_of_a_long_list(client: TestClient) -> None:
    filled(PAGE + 1)
    first, second = client.get("/table").text, client.get("/table?page=1").text
    assert (first.count('scope="row"'), second.count('scope="row"')) == (PAGE, 1)
    assert ("Older" in first, "Newer" in first, "Older" in second, "Newer" in second) == (
        True,
        False,
        False,
        True,
    )
    assert client.get("/table?page=-1").text.count('scope="row"') == PAGE
    assert client.get("/table?page=99999999999").status_code == 200


def test_filters(client: TestClient) -> None:
    filled(3)
    assert client.get("/table?name=*2").text.count('scope="row"') == 1
    assert client.get("/table?status=Ready").text.count('scope="row"') == 0
    assert client.get("/table?status=Error").text.count('scope="row"') == 3
    for found, asked in {3: "kind=System&format=qcow2", 0: "kind=Volume", 1: "storage=default"}.items():
        assert client.get(f"/table?{asked}").text.count('scope="row"') == found, asked
    assert "Nothing matches the filter." in client.get("/?kind=Volume").text


@pytest.mark.parametrize("asked", ["status=x", "kind=ISO", "format=exe"])
def test_a_filter_that_can_not_be_is_a_sentence(settings: Settings, asked: str) -> None:
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        answer = client.get(f"/?{asked}")
        assert (answer.status_code, "is not allowed; one of" in answer.text) == (422, True), answer.text


def test_a_storage_is_registered_again_from_its_line_with_what_it_has(client: TestClient) -> None:
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        known = change.image_storage("default").model_copy(
            update={"reserve_bytes": 7, "bandwidth_bytes_s": 1 << 20}
        )
        change.save_image_storage(known)
    line = client.get("/table?tab=storages").text
    given = re.search(r'data-flow="register_image_storage" data-given="([^"]*)"', line)
    assert given
    form = client.get("/forms/register_image_storage", params={"given": unescape(given[1])}).text
    for name, value in {
        "name": "default",
        "reserve_bytes": "7",
        "bandwidth_bytes_s": "1048576",
        "url": "",
    }.items():
        assert re.search(f'name="{name}" data-kind="[a-z]+" value="{value}"', form), name
    assert "what is left empty stays as it is" in form


def test_storages_show_how_full_they_are(client: TestClient, settings: Settings) -> None:
    image = filled()
    bounded = ImageStorage(
        name="bounded", kind="imagestore", url=(settings.home / "x").as_uri(), capacity_bytes=10 << 20, reserve_bytes=0, created_at=NOW
    )  # fmt: skip
    away = bounded.model_copy(update={"name": "away", "url": "s3://bucket", "endpoint": "http://127.0.0.1:9"})
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image_storage(bounded)
        change.save_image_storage(away.model_copy(update={"state": "Disabled"}))
        change.save_replica(
            a_replica(image, image_storage="bounded", size_bytes=3 << 20, stored_bytes=1 << 20)
        )
    text = client.get("/table?tab=storages").text
    for told in (
        " B of 10 MiB, room for 10 MiB",
        "3 MiB in 1 MiB, 3.0 : 1",
        "it is disabled; enable it first",
    ):
        assert told in text, text
    assert "room for" in client.get("/table?tab=primary").text


@pytest.mark.parametrize("flow", FLOWS)
def test_every_flow_has_a_form_of_all_its_fields(client: TestClient, flow: str) -> None:
    text = client.get(f"/forms/{flow}").text
    model = request_model(flow)
    for name, field in model.model_fields.items():
        assert (f'name="{name}"' in text) == (name != "plan_only")
        assert name == "plan_only" or str(field.title) in text
    assert ("data-plan" in text) == ("plan_only" in model.model_fields)


def test_a_form_begins_with_what_the_row_says(client: TestClient) -> None:
    given = {"image_ids": ["a", HOSTILE]}
    field = fields_of(request_model("delete_image"), given)[0]
    assert (field.value, field.fixed, field.required) == (f"a {HOSTILE}", True, True)
    text = client.get("/forms/delete_image", params={"given": json.dumps(given)}).text
    assert "<script>" not in text
    assert "readonly" in text


def test_kinds_of_inputs() -> None:
    kinds = {field.name: field.kind for field in fields_of(request_model("add_system_image"), {})}
    assert (kinds["name"], kinds["image_format"], kinds["virtio"]) == ("text", "choice", "checkbox")
    assert kinds["image_storages"] == "list"  # no names are known here
    assert {f.name: f.kind for f in fields_of(request_model("edit_image"), {})}["clear"] == "choices"
    (virtio,) = (field for field in fields_of(request_model("edit_image"), {}) if field.name == "virtio")
    assert (virtio.kind, virtio.options, virtio.value) == ("choice", ("true", "false"), "")
    asked = EditImage.model_validate_json('{"image_id": "a", "virtio": "false"}')  # as the page sends it
    assert asked.virtio is False
    assert {f.name: f.kind for f in fields_of(request_model("boot_check"), {})}["timeout_s"] == "number"
    assert {f.name: f.kind for f in fields_of(request_model("sync_images"), {})}["changed_since"] == "date"


def test_storages_are_chosen_from_those_that_are_registered(client: TestClient) -> None:
    filled()
    for flow, words in {
        "add_system_image": ('name="image_storages" value="default" checked',),
        "reclaim_space": ('name="image_storages" value="default" >',),
        "create_volume": ("<option selected>default</option>", "<option >p</option>"),
        "set_image_storage_state": ('<option value="">choose …</option>', "<option >default</option>"),
    }.items():
        text = client.get(f"/forms/{flow}").text
        assert all(word in text for word in words), text
    given = json.dumps({"image_storages": ["gone"]})
    assert 'value="gone" checked' in client.get(f"/forms/verify_replicas?given={given}").text
    assert "checked" not in client.get("/forms/edit_image").text.partition("Clear")[2]


def named_images(text: str) -> list[str]:
    """Return the names in the rows of a table, from top to bottom."""
    return re.findall(r'<th scope="row"[^>]*><a [^>]*>([^<]*)</a>', text)


def test_a_column_sorts_the_whole_list(client: TestClient) -> None:
    sizes = {"debian-9": 5 << 30, "debian-12": 900 << 20, "Alma": None, "zero": 0}
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        for name, size_bytes in sizes.items():
            change.save_image(an_image(name=name, virtual_size_bytes=size_bytes, status=ImageStatus.READY))
    for sort, names in {
        "Name": ["Alma", "debian-9", "debian-12", "zero"],
        "-Name": ["zero", "debian-12", "debian-9", "Alma"],
        "Virtual size": ["zero", "debian-12", "debian-9", "Alma"],
        "-Virtual size": ["debian-9", "debian-12", "zero", "Alma"],
    }.items():
        text = client.get("/table", params={"sort": sort}).text
        assert named_images(text) == names, sort
        way = "descending" if sort.startswith("-") else "ascending"
        assert text.count("aria-sort") == text.count(f'aria-sort="{way}"') == 1
    assert "aria-sort" not in client.get("/table?sort=").text


def test_sorting_goes_over_pages_and_keeps_the_filter(client: TestClient) -> None:
    filled(PAGE + 3)
    answer = client.get("/?name=image*&sort=-Name")
    assert named_images(answer.text)[0] == f"image {PAGE + 2}"
    assert named_images(client.get("/table?name=image*&sort=-Name&page=1").text) == [
        "image 2",
        "image 1",
        "image 0",
    ]
    assert "name=image%2A&amp;tab=images&amp;sort=Owner" in answer.text
    assert 'name="sort" value="-Name"' in answer.text


def test_sorting_stops_where_it_would_take_long(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(4)
    for module in (sorting, pages):
        monkeypatch.setattr(module, "MOST", 3)
    text = client.get("/table?sort=Name").text
    assert len(named_images(text)) == 3
    assert "Only the first 3 are sorted" in text
    assert "are sorted" not in client.get("/table").text


@pytest.mark.parametrize("tab", TABS)
def test_every_column_can_be_sorted_by(client: TestClient, tab: str) -> None:
    filled()
    for column in ("Name", *TABS[tab].columns):
        assert client.get("/table", params={"tab": tab, "sort": f"-{column}"}).status_code == 200, column


def test_names_are_sorted_as_people_count() -> None:
    names = ["b1", "a10", "a9", "A09x", "9" * 9000, "²", "", "a"]
    rows = [Row(name, name, ()) for name in names]
    assert [row.name for row in sorting.ordered(rows, (), "Name")] == [
        "9" * 9000, "a", "a9", "A09x", "a10", "b1", "²", "",
    ]  # fmt: skip


def test_what_is_disabled_is_marked_by_a_word(client: TestClient) -> None:
    off = an_image(name="off", state="Disabled", status=ImageStatus.READY)
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image(an_image(name="on", status=ImageStatus.READY))
        change.save_image(off)
        default = change.image_storage("default")
        change.save_image_storage(default.model_copy(update={"state": "Disabled"}))
    mark = '<span class="badge">Disabled</span>'
    for place in ("/table", "/table?tab=storages", f"/images/{off.id}"):
        assert client.get(place).text.count(mark) == 1, place


def test_a_delete_asks_again_where_it_is_the_end(client: TestClient) -> None:
    kept, gone = an_image(status=ImageStatus.READY), an_image(status=ImageStatus.READY, owner="bob")
    arriving = an_image(status=ImageStatus.DOWNLOADING)
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        for image in (kept, gone, arriving):
            change.save_image(image)
        change.save_account(change.account("bob").model_copy(update={"retention_policy": "direct"}))

    def asks(*ids: str) -> bool:
        given = json.dumps({"image_ids": ids})
        return 'data-grave=""' in client.get("/forms/delete_image", params={"given": given}).text

    assert [asks(kept.id), asks(kept.id, gone.id), asks(arriving.id), asks("nothing")] == [
        False, True, True, False,
    ]  # fmt: skip


@pytest.mark.usefixtures("settings")
def test_a_plan_names_images_by_name_and_shortened_id() -> None:
    image = filled()
    with open_catalog() as catalog:
        (export,), short = catalog.exports(), f"{image.name} ({image.id[:8]}…)"
        found = [
            named(catalog, subject)
            for subject in (
                f"image:{image.id}", f"replica:{image.id}@far", "leftover:l", f"export:{export.id}", "volume:v",
                "image:gone", "image_storage:default", "debris",
            )
        ]  # fmt: skip
    assert found == [
        f"image {short}", f"replica {short} on far", f"leftover {short}", f"export {short}", f"volume {HOSTILE} (v…)",
        "image:gone", "image_storage:default", "debris",
    ]  # fmt: skip


def test_what_can_not_be_undone_asks_again(client: TestClient) -> None:
    assert 'data-grave=""' in client.get("/forms/expunge_image").text
    assert 'data-grave="approve=yes"' in client.get("/forms/clean_up_leftovers").text
    assert "data-grave" not in client.get("/forms/delete_image").text
    assert all("plan_only" in request_model(flow).model_fields for flow in GRAVE)


def test_only_what_the_rules_allow_is_offered() -> None:
    ready = an_image(status=ImageStatus.READY)
    offered = {flow for flow, operation in OPERATIONS.items() if allowed(ready, operation)}
    assert {"export_image", "delete_image", "disable_image"} <= offered
    assert not {"recover_image", "expunge_image", "enable_image"} & offered
    assert not allowed(ready.model_copy(update={"protected": True}), "delete")
    binned = an_image(status=ImageStatus.DELETED)
    assert {f for f, o in OPERATIONS.items() if allowed(binned, o)} == {"recover_image", "expunge_image"}


def test_uploads_are_listed_with_their_state(client: TestClient, settings: Settings) -> None:
    def upload(length: int) -> Upload:
        made = Upload(
            id=an_image().id, length=length, filename=HOSTILE, flow="add_volume_image", request='{"name": "n"}', created_at=NOW
        )  # fmt: skip
        Uploads(settings).create(made)
        return made

    begun, whole = upload(5), upload(0)
    text = client.get("/table?tab=uploads").text
    assert [
        text.count(word) for word in ("Uploading", "Adding", "<progress", "data-upload", "data-discard")
    ] == [1, 1, 2, 1, 1]
    assert begun.id in text
    assert "<script>" not in text
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image(an_image(id=whole.id, status=ImageStatus.ERROR, error="it is no image"))
    text = client.get("/?tab=uploads").text
    assert [text.count(word) for word in ("Failed", "it is no image", "data-discard", "Uploads (2)")] == [
        1,
        1,
        2,
        1,
    ]
