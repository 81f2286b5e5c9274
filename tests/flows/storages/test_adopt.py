"""Quotas under fire, adoption from a storage alone, storages' states, lineage, and the commands that show them."""

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from catalog import open_catalog
from catalog.errors import (
    ImageNotFound,
    InvalidRequest,
    LogDamaged,
    QuotaExceeded,
    StorageRefused,
)
from catalog.log import events
from catalog.log.lineage import statement
from catalog.records import Account, Conversion, Origin, Provenance
from catalog.settings import load_settings
from flows.command import reading
from flows.requests import AdoptStorage
from tasks.add.register import register
from tasks.add.reservation import reserve
from tasks.images.delete import delete
from tasks.images.export import export
from tasks.storages.adopt import adopt, held_on, plan_adopt
from tasks.storages.state import set_storage_state
from tests.flows.managed import MIB, blank, opened, placed
from tests.flows.managed import register as register_storage

pytestmark = pytest.mark.usefixtures("home")
SOURCE = "http://example.org/x"


@pytest.mark.timeout(120)
def test_of_fifty_adds_at_once_a_quota_of_ten_accepts_ten() -> None:
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_account(Account(name="bob", quota_images=10, created_at=datetime.now(UTC)))
    accepted: list[str] = []
    refused: list[str] = []

    def add(image_id: str) -> None:
        try:
            image = register.fn(blank(id=image_id, owner="bob", image_storages=("default",), source=SOURCE))
            with open_catalog() as catalog:
                reserve(catalog, load_settings(), image, MIB)
            accepted.append(image_id)
        except QuotaExceeded:
            refused.append(image_id)

    threads = [threading.Thread(target=add, args=(str(uuid.uuid4()),)) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(accepted), len(refused)) == (10, 40)
    with open_catalog() as catalog:
        usage = catalog.usage("bob")
        assert (usage.reserved_images, usage.reserved_bytes, usage.images) == (10, 10 * MIB, 0)
        assert {r.subject for r in catalog.reservations("bob")} == {f"image:{i}" for i in accepted}
    delete.fn(accepted, "bob")
    with open_catalog() as catalog:
        usage = catalog.usage("bob")
        assert (usage.reserved_images, usage.reserved_bytes, usage.images) == (0, 0, 0)


KILLED = """
import os, sys
from catalog import open_catalog
from catalog.records import Image
from catalog.settings import load_settings
from tasks.add.register import register
from tasks.add.reservation import reserve
image = register.fn(Image.model_validate_json(sys.argv[1]))
with open_catalog() as catalog:
    reserve(catalog, load_settings(), image, 1 << 20)
os.kill(os.getpid(), 9)
"""


def test_an_add_that_is_killed_and_added_again_is_counted_once() -> None:
    draft = blank(owner="bob", image_storages=("default",), source=SOURCE)
    killed = subprocess.run([sys.executable, "-c", KILLED, draft.model_dump_json()], check=False)
    assert killed.returncode == -9
    with open_catalog() as catalog:
        after_kill = catalog.usage("bob")
        reserve(catalog, load_settings(), register.fn(draft), MIB)
        again = catalog.usage("bob")
    assert after_kill == again
    assert (again.reserved_images, again.reserved_bytes) == (1, MIB)
    delete.fn([draft.id], "bob")
    with open_catalog() as catalog:
        assert catalog.usage("bob").reserved_bytes == 0


def test_a_lost_catalog_is_rebuilt_from_the_storage(home: Path) -> None:
    images = [placed(name=f"image {number}") for number in range(3)]
    (home / "catalog.db").unlink()
    for rest in home.glob("catalog.db-*"):
        rest.unlink()
    held = held_on.fn("default")
    plan = plan_adopt.fn("default", held)
    assert [action.verb for action in plan.actions] == ["adopt"] * 3
    items = adopt.fn("default", held, "admin")
    assert {item.outcome for item in items} == {"done"}
    with open_catalog() as catalog:
        for image in images:
            found = catalog.image(image.id)
            assert (found.name, found.sha256, found.status) == (image.name, image.sha256, "Ready")
            assert catalog.replica(image.id, "default").sha256 == image.sha256
        assert catalog.usage("admin").size_bytes == 3 * MIB
    assert [item.outcome for item in adopt.fn("default", held_on.fn("default"), "admin")] == ["kept"] * 3
    assert export.fn(images[0].id, "admin", None, None).md5 == images[0].md5


@pytest.mark.prefect
def test_a_storage_without_its_index_is_adopted_readable(home: Path) -> None:
    from flows import adopt_storage

    data = os.urandom(2 * MIB)
    image = placed(data)
    for segment in (home / "imagestore" / "index").iterdir():
        segment.unlink()
    adopt_storage(AdoptStorage(image_storage="default", plan_only=True))
    assert not list((home / "imagestore" / "index").iterdir())
    adopt_storage(AdoptStorage(image_storage="default"))
    assert opened("default").open(image.id).read_at(0, 2 * MIB) == data


def test_adoption_takes_nothing_that_waits_to_be_deleted_and_no_other_file(tmp_path: Path) -> None:
    register_storage("second", tmp_path / "second")
    going, twin = placed(), placed(storages=("default", "second"))
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        for image, storage in ((going, "default"), (twin, "second")):
            change.remove_replica(image.id, storage)
        change.remove_image(going.id)
        change.save_image(change.image(twin.id).model_copy(update={"sha256": "0" * 64}))
    (kept,) = [i for i in adopt.fn("default", held_on.fn("default"), "admin") if going.id in i.subject]
    assert (kept.outcome, kept.reason) == ("kept", "it was expunged; reconciling deletes it")
    (failed,) = adopt.fn("second", held_on.fn("second"), "admin")
    assert failed.outcome == "failed"
    assert "was made from sha256:" in failed.reason


def test_a_disabled_storage_gives_and_takes_nothing_until_it_is_enabled() -> None:
    image = placed()
    for _ in range(2):
        assert set_storage_state.fn("default", "Disabled", "admin").state == "Disabled"
    with pytest.raises(StorageRefused, match="it is disabled; enable it first"):
        export.fn(image.id, "admin", None, None)
    enabled = set_storage_state.fn("default", "Enabled", "admin")
    assert (enabled.state, enabled.connection) == ("Enabled", "Connected")
    assert export.fn(image.id, "admin", None, None).size_bytes == MIB
    with pytest.raises(InvalidRequest, match="only it may set the state"):
        set_storage_state.fn("default", "Disabled", "bob")


def test_the_lineage_names_source_address_digests_and_the_exact_conversion(home: Path) -> None:
    image = placed(source="http://example.org/disk.vmdk", format="vmdk", format_stored="qcow2")
    made = Conversion(
        image_storage="default", from_format="vmdk", to_format="qcow2", program="qemu-img version 7.2",
        arguments=("qemu-img", "convert", "-W"), sha256="c" * 64,
    )  # fmt: skip
    origin = Origin(url=image.source, address="192.0.2.7", size_bytes=7, etag='"e"', md5="a" * 32, sha256="b" * 64,
                    rule_set="1", conversions=(made,))  # fmt: skip
    with open_catalog() as catalog, catalog.changing(actor="admin", run_id="run-1") as change:
        change.record(events.IMAGE_PROVENANCE, f"image:{image.id}", after=Provenance(provenance=origin))
    exported = export.fn(image.id, "admin", None, None)
    with open_catalog() as catalog:
        text = json.dumps(statement(image.id, catalog.events(image.id)))
        assert catalog.snapshot()[f"image:{image.id}"] == image  # the origin is no field of the image
    said = json.loads(text)
    assert (said["_type"], said["predicateType"]) == (
        "https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1",
    )  # fmt: skip
    (source,) = said["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert (source["uri"], source["digest"]["sha256"]) == (image.source, "b" * 64)
    assert (source["annotations"]["address"], source["annotations"]["etag"]) == ("192.0.2.7", '"e"')
    conversion = said["predicate"]["runDetails"]["byproducts"][0]
    assert conversion["annotations"]["arguments"] == ["qemu-img", "convert", "-W"]
    assert said["predicate"]["runDetails"]["metadata"]["invocationId"] == "run-1"
    assert {s["digest"]["sha256"] for s in said["subject"]} >= {image.sha256, exported.sha256}
    with open_catalog() as catalog, pytest.raises(ImageNotFound):
        statement("absent", catalog.events("absent"))


def test_a_log_that_was_tampered_with_shows(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import sqlite3

    placed()
    reading.events(verify=True, as_json=True)
    assert json.loads(capsys.readouterr().out)["intact"] is True
    with sqlite3.connect(home / "catalog.db") as database:
        database.execute("UPDATE events SET actor = 'somebody else' WHERE sequence = 3")
    with pytest.raises(LogDamaged, match="event 3 of the log is not what was written"):
        reading.events(verify=True)


def test_commands_show_usage_pending_work_families_and_differences(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = datetime.now(UTC)
    image = placed(family="debian", owner="bob")
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.defer("delete replica", "replica:x@far", "it is away", storage="far")

    def said(command: Callable[..., None], *words: str) -> Any:
        command(*words, as_json=True)
        return json.loads(capsys.readouterr().out)

    (usage,) = [u for u in said(reading.usage) if u["account"] == "bob"]
    assert (usage["images"], usage["size_bytes"]) == (1, MIB)
    (work,) = said(reading.pending)
    assert (work["storage"], work["reason"]) == ("far", "it is away")
    assert said(reading.latest, "debian")["id"] == image.id
    difference = said(reading.diff, before.isoformat())
    assert f"image:{image.id}" in difference["appeared"]
    reading.diff(before.isoformat(), "")
    assert f"+ image:{image.id}" in capsys.readouterr().out
    with pytest.raises(InvalidRequest, match="at1: 'yesterday' is not allowed"):
        reading.diff("yesterday")


def test_an_image_on_a_storage_is_read_whole_after_adoption_from_a_copy(home: Path, tmp_path: Path) -> None:
    data = os.urandom(2 * MIB)
    image = placed(data)
    (home / "imagestore").rename(tmp_path / "elsewhere")
    register_storage("elsewhere", tmp_path / "elsewhere")
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.remove_replica(image.id, "default")
    (item,) = adopt.fn("elsewhere", held_on.fn("elsewhere"), "admin")
    assert (item.outcome, item.reason) == ("done", "one more replica of an image that is known")
    assert opened("elsewhere").open(image.id).read_at(0, 2 * MIB) == data
