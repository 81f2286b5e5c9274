"""Managing an image through Prefect: a whole life, and the end of one that was still arriving."""

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import IllegalTransition, ImageNotFound, InvalidRequest, SomeFailed
from catalog.records import ExpungeReport, Image, ImageStatus, Plan, Volume
from catalog.settings import load_settings
from flows import requests
from tests.flows.managed import MIB, chip_bytes, delete_one, opened, placed
from tests.services.process import find

pytestmark = [pytest.mark.prefect, pytest.mark.usefixtures("home")]
COMMAND = Path(sys.executable).with_name("imagewright")


def test_a_whole_life(home: Path) -> None:
    import flows

    find("qemu-img", "qemu-utils")
    image = placed()
    ids = (image.id,)
    edited = flows.edit_image(requests.EditImage(image_id=image.id, name="new name", family="debian"))
    assert isinstance(edited, Image)
    assert (edited.name, edited.family) == ("new name", "debian")
    kept = flows.edit_image(requests.EditImage(image_id=image.id, name="", family=""))
    assert kept == edited
    with pytest.raises(InvalidRequest, match="clear: 'family' is not allowed; leave it out where family is given"):
        flows.edit_image(requests.EditImage(image_id=image.id, family="x", clear=("family",)))
    cleared = flows.edit_image(requests.EditImage(image_id=image.id, clear=("family", "description")))
    assert isinstance(cleared, Image)
    assert (cleared.name, cleared.family, cleared.description) == ("new name", None, "")
    assert isinstance(flows.set_sharing_mode(requests.SetSharingMode(image_id=image.id, mode="global")), Image)
    flows.disable_image(requests.DisableImage(image_ids=ids))
    with pytest.raises(IllegalTransition, match="is Disabled"):
        flows.create_volume(requests.CreateVolume(image_id=image.id, name="disk"))
    flows.enable_image(requests.EnableImage(image_ids=ids))
    volume = flows.create_volume(requests.CreateVolume(image_id=image.id, name="disk"))
    assert isinstance(volume, Volume)
    flows.export_image(requests.ExportImage(image_id=image.id))
    with pytest.raises(SomeFailed, match="absent"):
        flows.delete_image(requests.DeleteImage(image_ids=(*ids, "absent")))
    flows.recover_image(requests.RecoverImage(image_ids=ids))
    flows.delete_image(requests.DeleteImage(image_ids=ids))
    plan = flows.purge_recycle_bin(requests.PurgeRecycleBin(retention_days=0, plan_only=True))
    assert isinstance(plan, Plan)
    assert [action.verb for action in plan.actions] == ["delete export", "delete replica", "remove record"]
    report = flows.purge_recycle_bin(requests.PurgeRecycleBin(retention_days=0))
    assert isinstance(report, ExpungeReport)
    assert [item.outcome for item in report.items] == ["done"]
    flows.delete_volume(requests.DeleteVolume(volume_id=volume.id))
    cleaned = flows.clean_image_cache(requests.CleanImageCache())
    assert getattr(cleaned, "bytes_freed", None) == MIB
    assert not opened().contains(image.id)


def test_what_expired_goes_into_the_bin_unless_it_is_protected(home: Path) -> None:
    import flows

    over, tomorrow = datetime.now(UTC) - timedelta(seconds=1), datetime.now(UTC) + timedelta(days=1)
    for moment in (over, over.replace(tzinfo=None)):  # without a zone it is UTC
        with pytest.raises(InvalidRequest, match="expires_at"):
            flows.edit_image(requests.EditImage(image_id=placed().id, expires_at=moment))
    expiring, protected, cleared = (
        placed(expires_at=over),
        placed(expires_at=over, protected=True),
        placed(expires_at=over),
    )
    flows.edit_image(requests.EditImage(image_id=cleared.id, clear=("expires_at",)))
    flows.edit_image(requests.EditImage(image_id=placed().id, expires_at=tomorrow))
    plan = flows.purge_recycle_bin(requests.PurgeRecycleBin(plan_only=True))
    assert isinstance(plan, Plan)
    assert {action.subject for action in plan.actions} == {f"image:{expiring.id}"}
    report = flows.purge_recycle_bin(requests.PurgeRecycleBin())
    assert isinstance(report, ExpungeReport)
    assert [(item.subject, item.outcome) for item in report.items] == [(f"image:{expiring.id}", "kept")]
    with open_catalog() as catalog:
        assert [image.id for image in catalog.bin()] == [expiring.id]
    assert flows.purge_recycle_bin(requests.PurgeRecycleBin()) == ExpungeReport()
    flows.purge_recycle_bin(requests.PurgeRecycleBin(retention_days=0))
    assert not opened().contains(expiring.id)
    assert opened().contains(protected.id)


class _Slow(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self._head()

    def do_GET(self) -> None:
        self._head()
        try:
            for _ in range(1024):
                self.wfile.write(os.urandom(64 << 10))
                time.sleep(0.05)
        except OSError:
            return

    def _head(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(64 << 20))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


@contextmanager
def slow_source() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/disk.raw"
        server.shutdown()


def test_deleting_an_image_while_it_arrives_stops_its_run_and_leaves_nothing(home: Path) -> None:
    from prefect.settings import get_current_settings

    import flows

    image_id = str(uuid.uuid4())
    environment = {**os.environ, "PREFECT_API_URL": str(get_current_settings().api.url)}
    with slow_source() as url:
        words = ["add-volume-image", "--name", "slow", "--image-format", "raw", "--image-path", url]
        adding = subprocess.Popen(
            [COMMAND, *words, "--image-id", image_id], env=environment, stderr=subprocess.PIPE, text=True
        )
        _wait_for_bytes(image_id)
        deleted = flows.delete_image(requests.DeleteImage(image_ids=(image_id,)))
        _, said = adding.communicate(timeout=60)
    assert isinstance(deleted, tuple)
    assert [image.status for image in deleted] == [ImageStatus.DELETED]
    assert adding.returncode == 1
    assert "was deleted while it was arriving; nothing of it is kept" in said
    assert list(opened().landings()) == []
    assert chip_bytes(home) == 0
    with open_catalog() as catalog:
        assert [list(catalog.images()), list(catalog.reservations()), list(catalog.pending())] == [[], [], []]
        with pytest.raises(ImageNotFound):
            catalog.image(image_id)


def _wait_for_bytes(image_id: str) -> None:
    for _ in range(600):
        if any(info.landing_id == image_id and info.source for info in opened().landings()):
            return
        time.sleep(0.1)
    raise AssertionError(f"no byte of {image_id} arrived below {load_settings().home}")


def test_the_command_gives_one_json_document_or_one_sentence(home: Path) -> None:
    from prefect.settings import get_current_settings

    environment = {**os.environ, "PREFECT_API_URL": str(get_current_settings().api.url)}
    image = placed()

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([COMMAND, *words], env=environment, capture_output=True, text=True, check=False)

    done = run("edit-image", "--image-id", image.id, "--name", "by command", "--json")
    assert json.loads(done.stdout)["name"] == "by command"
    adopted = run("adopt", "default", "--json")
    assert [item["outcome"] for item in json.loads(adopted.stdout)["items"]] == ["kept"]
    refused = run("expunge-image", "--image-ids", image.id)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.strip() == (
        f"imagewright: image {image.id} is Ready: expunge is allowed only when it is Deleted"
    )
    binned = delete_one(placed())
    partly = run("expunge-image", "--image-ids", image.id, "--image-ids", binned.id, "--json")
    outcomes = {item["subject"]: item["outcome"] for item in json.loads(partly.stdout)["items"]}
    assert outcomes == {f"image:{image.id}": "failed", f"image:{binned.id}": "done"}
    assert partly.returncode == 1
    assert partly.stderr.startswith(f"imagewright: expunge-image failed for 1 of 2: image:{image.id}: ")
    shown = run("lineage", image.id)
    assert json.loads(shown.stdout)["_type"] == "https://in-toto.io/Statement/v1"
