"""Forms: of every flow, with what the line says and how things are."""

import json
import re
from html import unescape

import pytest
from starlette.testclient import TestClient

from catalog import open_catalog
from console.pages.forms import fields_of
from flows.registry import OPERATIONS
from flows.requests import EditImage
from tests.catalog.samples import an_image
from tests.console.pages.filled import HOSTILE, NOW, filled


def test_a_storage_is_registered_again_from_its_line_with_what_it_has(client: TestClient) -> None:
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        known = change.image_storage("default").model_copy(update={"reserve_bytes": 7, "bandwidth_bytes_s": 1 << 20})
        change.save_image_storage(known)
    line = client.get("/table?tab=storages").text
    given = re.search(r'class="menu" data-given=\'([^\']*)\'', line)
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
    assert 'value="1048576" data-present data-clears' in form  # emptied, it is cleared
    assert re.search(r'name="name"[^>]*readonly', form)
    assert '<div class="field" hidden>' in form


@pytest.mark.parametrize("flow", OPERATIONS)
def test_every_flow_has_a_form_of_all_its_fields(client: TestClient, flow: str) -> None:
    text = client.get(f"/forms/{flow}").text
    model = OPERATIONS[flow].request
    for name, field in model.model_fields.items():
        assert (f'name="{name}"' in text) == (name != "plan_only")
        assert name == "plan_only" or str(field.title) in text
    assert ("data-plan" in text or "data-previews" in text) == ("plan_only" in model.model_fields)


def test_a_form_begins_with_what_the_row_says(client: TestClient) -> None:
    given = {"image_ids": ["a", HOSTILE]}
    field = fields_of(OPERATIONS["delete_image"].request, given)[0]
    assert (field.value, field.fixed, field.required) == (f"a {HOSTILE}", True, True)
    text = client.get("/forms/delete_image", params={"given": json.dumps(given)}).text
    assert "<script>" not in text
    assert "readonly" in text


def test_a_form_that_changes_something_shows_how_it_is(client: TestClient) -> None:
    image = an_image(
        name="a", description="b", virtio=True, enable_csm=False, bios_mode="UEFI", family=None, expires_at=NOW,
        sharing_mode="specified", shared_accounts=("bob", "carl"),
    )  # fmt: skip
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image(image)
    given = json.dumps({"image_id": image.id})
    text = client.get("/forms/edit_image", params={"given": given}).text
    for shown in (
        'value="a" data-present', 'value="b" data-present data-clears', 'value="2026-01-01T00:00" data-present data-clears',
        '<div class="field" hidden>', "<option selected>UEFI</option>", "<option selected>true</option>",
    ):  # fmt: skip
        assert shown in text, shown
    assert "UTC unless" not in text
    shared = client.get("/forms/set_sharing_mode", params={"given": given}).text
    assert 'value="bob carl" data-present data-only-with="mode=specified"' in shared
    assert "<option selected>specified</option>" in shared
    assert "data-present" not in client.get("/forms/edit_image").text  # of what is not there: empty, as before
    state = client.get("/forms/set_image_storage_state", params={"given": '{"name": "default"}'}).text
    assert "<option selected>Enabled</option>" in state


def test_kinds_of_inputs() -> None:
    kinds = {field.name: field.kind for field in fields_of(OPERATIONS["add_system_image"].request, {})}
    assert (kinds["name"], kinds["image_format"], kinds["virtio"]) == ("text", "choice", "checkbox")
    assert kinds["image_storages"] == "list"  # no names are known here
    assert {f.name: f.kind for f in fields_of(OPERATIONS["edit_image"].request, {})}["clear"] == "choices"
    (virtio,) = (field for field in fields_of(OPERATIONS["edit_image"].request, {}) if field.name == "virtio")
    assert (virtio.kind, virtio.options, virtio.value) == ("choice", ("true", "false"), "")
    asked = EditImage.model_validate_json('{"image_id": "a", "virtio": "false"}')  # as the page sends it
    assert asked.virtio is False
    assert {f.name: f.kind for f in fields_of(OPERATIONS["boot_check"].request, {})}["timeout_s"] == "number"
    assert {f.name: f.kind for f in fields_of(OPERATIONS["sync_images"].request, {})}["changed_since"] == "date"


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
