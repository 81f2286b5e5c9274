"""Forms while they are filled in: the fields follow the rules of the guide, and what is wrong is said in the flow's own words."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.records import ImageStatus
from catalog.rules.images.operating_systems import SYSTEMS, known_systems, uefi_support
from catalog.settings import Settings
from console.pages.actions import many, previewed
from console.pages.form_routes import FormRoutes
from flows.registry import OPERATIONS
from tests.catalog.samples import an_image
from tests.console.operators import as_operators

OURS = {"X-Imagewright": "1"}
Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def pages(settings: Settings) -> Iterator[TestClient]:
    with TestClient(as_operators(FormRoutes(settings).routes())) as client:
        yield client


@pytest.fixture
def rules(pages: TestClient) -> Ask:
    def ask(flow: str = "add_system_image", **said: object) -> dict[str, Any]:
        answer = pages.post(f"/api/rules/{flow}", json=said, headers=OURS)
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["fields"])

    return ask


@pytest.mark.parametrize("architecture", ["aarch64", "mips64el", "loongarch64"])
def test_where_there_is_one_mode_only_it_is_offered_and_csm_is_not(rules: Ask, architecture: str) -> None:
    fields = rules(cpu_architecture=architecture, bios_mode="Legacy")
    assert fields["bios_mode"]["options"] == ["UEFI"]
    assert f"{architecture} always boots in UEFI mode" in fields["bios_mode"]["note"]
    assert fields["enable_csm"]["shown"] is False


def test_csm_is_asked_for_in_uefi_mode_and_needed_by_windows_7(rules: Ask) -> None:
    assert rules(bios_mode="Legacy")["enable_csm"]["shown"] is False
    fields = rules(bios_mode="UEFI", os="Windows 7", name="w", image_path="http://h/x.qcow2")
    assert "shown" not in fields["enable_csm"]  # it is
    assert fields["enable_csm"]["note"] == "Windows 7 needs it in UEFI mode."
    assert "only with CSM enabled" in fields["enable_csm"]["wrong"]
    good = rules(bios_mode="UEFI", os="Windows 7", enable_csm=True, name="w", image_path="http://h/x.qcow2")
    assert not [field for field in good.values() if "wrong" in field]


def test_bare_metal_is_asked_for_where_the_format_allows_it(rules: Ask) -> None:
    shown = {kind: rules(image_format=kind)["elastic_baremetal"].get("shown", True) for kind in ("qcow2", "raw", "iso")}
    assert shown == {"qcow2": True, "raw": True, "iso": False}


def test_systems_are_those_of_the_platform_and_each_is_known_to_the_rules(rules: Ask) -> None:
    assert "Debian 12" in rules(platform="Linux")["os"]["suggested"]
    assert "Windows Server 2019" in rules(platform="Windows")["os"]["suggested"]
    assert "Debian 12" not in rules(platform="Windows")["os"]["suggested"]
    found = {os: uefi_support(os) for platform in SYSTEMS for os in known_systems(platform)}
    assert (found["Windows 7"], found["Windows Server 2008"], found["CentOS 7.2"]) == ("with CSM", "no", "yes")


def test_what_is_wrong_is_said_of_its_field(rules: Ask) -> None:
    fields = rules(name=" a", image_path="gopher://x/y", bios_mode="UEFI", os="Windows XP", virtio="maybe")
    assert "true or false" in fields["virtio"]["wrong"]
    assert "name" in rules(name="a/b", image_path="http://h/x")["name"]["wrong"]
    assert "too old" in rules(name="a", image_path="http://h/x", bios_mode="UEFI", os="Windows XP")["os"]["wrong"]
    assert "missing" in rules()["image_path"]["wrong"]
    assert "image_path" not in rules(name="a", file=True)  # it is chosen


def test_sharing_says_who_has_it_and_a_sync_over_which_network(rules: Ask) -> None:
    image = an_image(sharing_mode="specified", shared_accounts=("bob",), shared_projects=("p",))
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image(image)
        change.save_image_storage(change.image_storage("default").model_copy(update={"sync_network": "10.7.0.0/24"}))
    assert rules("set_sharing_mode", image_id=image.id, mode="none")["mode"]["note"] == (
        "Now shared with bob, project p."
    )
    assert "10.7.0.0/24" in rules("sync_images", source="default", target="nowhere")["source"]["note"]


def test_digests_are_told_once_they_are_proven(pages: TestClient) -> None:
    ready, coming = (
        an_image(sha256="ab" * 32, size_bytes=7, status=ImageStatus.READY),
        an_image(status=ImageStatus.DOWNLOADING),
    )
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image(ready)
        change.save_image(coming)
    assert pages.get(f"/api/images/{ready.id}/digests").json() == {
        "proven": True,
        "size_bytes": 7,
        "sha256": "ab" * 32,
    }
    assert pages.get(f"/api/images/{coming.id}/digests").json()["proven"] is False
    assert pages.get("/api/images/nothing/digests").json() == {"proven": False}


def test_what_is_no_form_has_no_rules(pages: TestClient) -> None:
    assert pages.post("/api/rules/nothing", json={}, headers=OURS).status_code == 404
    assert pages.post("/api/rules/add_system_image", content="[]", headers=OURS).status_code == 422


def test_what_moves_or_deletes_shows_its_plan_and_what_is_for_many_says_how() -> None:
    shown = {name for name in OPERATIONS if previewed(name)}
    assert {"delete_image", "expunge_image", "sync_images", "change_image_storage", "delete_exported_image"} <= shown
    assert not {"add_system_image", "export_image", "edit_image", "recover_image", "verify_replicas"} & shown
    assert {name: many(name) for name in ("delete_image", "export_image", "edit_image", "change_image_storage")} == {
        "delete_image": "together",
        "export_image": "image_id",
        "edit_image": "",
        "change_image_storage": "image_id source",
    }
    for name in OPERATIONS:
        fields = many(name).split() if many(name) != "together" else []
        assert set(fields) <= set(OPERATIONS[name].request.model_fields)
