"""What could not be added at once: begun when the Prefect server is back, announced as what it is, or simply tried again."""

import json
import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from catalog import open_catalog
from catalog.errors import ImageNotFound
from catalog.repository.catalog import Catalog
from tests.console.tus import TUS, creation, piece
from tests.services.faulty_http import Faults, faulty_http
from tests.services.payload import payload
from tests.services.process import children, free_port, running
from tests.services.serving import Serving
from tests.services.signed import basic, token

pytestmark = pytest.mark.xdist_group("console")


@payload
def content() -> bytes:
    return random.Random(7).randbytes(2 << 20)


OURS = {"X-Imagewright": "1"}
WAIT_S = 240.0


@pytest.fixture
def client(served: Serving) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.console, timeout=60, headers=OURS | basic(served.auth)) as client:
        yield client


class Line:
    """A connection to a server that can be cut: connections are refused meanwhile."""

    def __init__(self, target: str) -> None:
        host, _, port = target.removeprefix("http://").partition(":")
        self._target, self._listening = (host, int(port)), socket.socket()
        self._listening.bind(("127.0.0.1", 0))  # nobody else gets the port while nobody listens on it
        self.port: int = self._listening.getsockname()[1]

    def repair(self) -> None:
        self._listening.listen(100)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, far = self._listening.accept()[0], socket.create_connection(self._target)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@contextmanager
def console_behind(served: Serving, line: Line, folder: Path) -> Iterator[httpx.Client]:
    """Run a console that reaches the Prefect server over a line only; the other console is held meanwhile."""
    port, other = free_port(), console_of(served)
    environment = {
        **served.environment, "PREFECT_API_URL": f"http://127.0.0.1:{line.port}/api", "PREFECT_CLIENT_MAX_RETRIES": "0",
        "PREFECT_API_AUTH_STRING": served.auth,
        "IMAGEWRIGHT_CATALOG_URL": f"sqlite:///{served.home}/catalog.db",
    }  # fmt: skip
    command = [sys.executable, "-m", "console", "--port", str(port)]
    with (
        catalog_of(served) as catalog,
        catalog.changing("admin"),
    ):  # else it may be held with the catalog's lock in its hand
        os.kill(other, signal.SIGSTOP)
    try:
        with (
            running(command, folder, port, environment, within_s=120),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, headers=basic(served.auth)) as client,
        ):
            yield client
    finally:
        os.kill(other, signal.SIGCONT)


def console_of(served: Serving) -> int:
    """Return the process of the console that `imagewright serve` started."""
    serve = json.loads((served.home / "run" / "server.json").read_text())["pid"]
    (found,) = (pid for pid in children(serve) if b"\0console\0" in Path(f"/proc/{pid}/cmdline").read_bytes())
    return found


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def catalog_of(served: Serving) -> AbstractContextManager[Catalog]:
    return open_catalog(f"sqlite:///{served.home}/catalog.db")


def shown(served: Serving, image_id: str) -> dict[str, object]:
    """Return an image's record, empty while there is none."""
    with suppress(ImageNotFound), catalog_of(served) as catalog:
        return catalog.image(image_id).model_dump(mode="json")
    return {}


def give_quota(served: Serving, account: str, **quota: int) -> None:
    with catalog_of(served) as catalog, catalog.changing("admin") as change:
        change.save_account(change.account(account).model_copy(update=quota))


def uploaded(client: httpx.Client, **asked: str) -> tuple[str, httpx.Response]:
    begun = client.post("/uploads", headers=creation(len(content()), **asked))
    assert begun.status_code == 201, begun.text
    place = begun.headers["Location"]
    return place.rpartition("/")[2], client.patch(place, content=content(), headers=piece(0))


def ended(client: httpx.Client, answer: httpx.Response) -> str:
    """Wait for the run that an answer names; return its state."""
    assert answer.status_code == 202, answer.text
    told: dict[str, object] = {}

    def finished() -> bool:
        told.update(client.get(f"/api/runs/{answer.json()['flow_run_id']}").json())
        return bool(told.get("finished"))

    until(finished)
    return str(told["state"])


def test_an_upload_that_prefect_did_not_take_is_added_as_soon_as_it_does(served: Serving, tmp_path: Path) -> None:
    line = Line(served.url)
    with console_behind(served, line, tmp_path) as client:
        image_id, answer = uploaded(client)
        assert (answer.status_code, "try again" in answer.json()["error"]) == (503, True), answer.text
        text = client.get("/table?tab=uploads").text
        assert ("Waiting" in text, "added as soon as" in text, "Adding" in text) == (True, True, False)
        line.repair()
        until(lambda: shown(served, image_id).get("status") == "Ready")
        line.cut()
    assert not (served.home / "uploads" / image_id).exists()


def test_whoever_goes_on_sending_begins_the_add_himself(served: Serving, tmp_path: Path) -> None:
    line = Line(served.url)
    with console_behind(served, line, tmp_path) as client:
        image_id, answer = uploaded(client)
        assert answer.status_code == 503
        line.repair()
        end = piece(len(content()))
        until(lambda: client.patch(f"/uploads/{image_id}", content=b"", headers=end).status_code in (204, 404))
        until(lambda: shown(served, image_id).get("status") == "Ready")
        line.cut()


def test_what_was_sent_whole_is_kept_when_the_form_was_wrong_and_added_as_what_it_is(
    served: Serving, client: httpx.Client
) -> None:
    asked = {"name": "typed wrong", "image_format": "raw", "account": "alice"}
    image_id, answer = uploaded(client, **asked, expected_checksum=f"md5:{'0' * 32}", description="mine")
    assert answer.status_code == 204, answer.text
    until(lambda: shown(served, image_id).get("status") == "Error")
    kept = served.home / "uploads" / image_id / "data"
    assert kept.read_bytes() == content()
    assert f'data-retry="{image_id}"' in client.get("/table?tab=uploads").text
    assert f'data-retry="{image_id}"' in client.get("/table").text

    assert ended(client, client.post(f"/api/retry/{image_id}")) == "Failed"  # as it was asked for it can't be right
    assert kept.read_bytes() == content()

    place = f"/api/uploads/{image_id}/add_volume_image"
    for wrong, words in {
        "eve": {"account": "eve"}, "format": {"image_format": "qcow2"}, "name": {"name": " x"},
    }.items():  # fmt: skip
        refused = client.post(place, json={**asked, **words})
        assert refused.status_code == 422, (wrong, refused.text)
        assert kept.read_bytes() == content()
    assert client.post(place.replace("volume", "nothing"), json=asked).status_code == 422
    assert client.post(place, content=b"x").status_code == 422

    right = client.post(place, json={**asked, "name": "typed right"})
    assert ended(client, right) == "Completed"
    image = shown(served, image_id)
    assert (image["status"], image["name"], image["description"]) == ("Ready", "typed right", "")
    assert not kept.exists()


def test_what_is_kept_of_an_unfinished_upload_is_announced_otherwise_and_goes_on(
    served: Serving, client: httpx.Client
) -> None:
    asked = {"name": "a disk", "image_format": "qcow2"}
    place = client.post("/uploads", headers=creation(len(content()), **asked)).headers["Location"]
    first = client.patch(place, content=content()[: 1 << 20], headers=piece(0))
    assert (first.status_code, "raw" in first.json()["error"]) == (422, True), first.text
    image_id = place.rpartition("/")[2]
    answer = client.post(f"/api/uploads/{image_id}/add_volume_image", json={**asked, "image_format": "raw"})
    assert (answer.status_code, answer.json()) == (200, {"rest": place}), answer.text
    kept = int(client.head(place, headers=TUS).headers["Upload-Offset"])
    assert kept == 1 << 20
    assert client.patch(place, content=content()[kept:], headers=piece(kept)).status_code == 204
    until(lambda: shown(served, image_id).get("status") == "Ready")
    assert shown(served, image_id)["format"] == "raw"


@pytest.mark.parametrize("run_is_known", [True, False])
def test_an_add_that_failed_is_done_again_as_it_was_asked_for(
    served: Serving, client: httpx.Client, run_is_known: bool
) -> None:
    with faulty_http() as server:
        server.serve("/other", Faults(content=b""))
        url = f"{server.serve('/x', Faults(content=b'')).rpartition('/')[0]}/late"
        asked = {"name": "late", "image_format": "raw", "image_path": url, "description": "as asked"}
        first = client.post("/api/flows/add_volume_image", json=asked)
        assert ended(client, first) == "Failed"
        image_id = first.json()["flow_run_id"]
        assert shown(served, image_id)["status"] == "Error"
        assert f'data-retry="{image_id}"' in client.get(f"/images/{image_id}").text
        if not run_is_known:
            gone = f"{served.api}/flow_runs/{image_id}"
            httpx.delete(gone, headers=basic(served.auth) | token(served.api, served.auth)).raise_for_status()
        server.serve("/late", Faults(content=content()))
        again = client.post(f"/api/retry/{image_id}")
        twice = client.post(f"/api/retry/{image_id}")
        assert ended(client, again) == "Completed"
    image = shown(served, image_id)
    assert (image["status"], image["description"]) == ("Ready", "as asked")
    assert twice.status_code in (202, 422)
    assert client.post(f"/api/retry/{image_id}").status_code == 422  # there is nothing to do again
    assert client.post("/api/retry/nothing").status_code == 422


def test_a_quota_that_was_promised_to_an_upload_is_nobody_elses(served: Serving, client: httpx.Client) -> None:
    give_quota(served, "poor", quota_images=1)
    asked = {"name": "promised", "account": "poor", "image_format": "raw"}
    place = client.post("/uploads", headers=creation(len(content()), **asked)).headers["Location"]
    with faulty_http() as server:
        url = server.serve("/first", Faults(content=content()))
        quicker = client.post("/api/flows/add_volume_image", json={**asked, "name": "first", "image_path": url})
        assert ended(client, quicker) == "Failed"
    assert shown(served, quicker.json()["flow_run_id"]) == {}
    assert client.patch(place, content=content(), headers=piece(0)).status_code == 204
    until(lambda: shown(served, place.rpartition("/")[2]).get("status") == "Ready")


def test_a_run_that_fails_before_there_is_an_image_says_so_at_the_upload(served: Serving, client: httpx.Client) -> None:
    asked = {"name": "too late", "account": "late", "image_format": "raw"}
    place = client.post("/uploads", headers=creation(len(content()), **asked)).headers["Location"]
    image_id = place.rpartition("/")[2]
    with catalog_of(served) as catalog, catalog.changing("admin") as change:
        change.release(f"image:{image_id}")  # as when it was begun with an earlier version
    give_quota(served, "late", quota_bytes=1)
    assert client.patch(place, content=content(), headers=piece(0)).status_code == 204
    until(lambda: "do not fit" in client.get("/table?tab=uploads").text)
    text = client.get("/table?tab=uploads").text
    assert ("Failed" in text, f'data-retry="{image_id}"' in text) == (True, True)
    give_quota(served, "late", quota_bytes=0)
    assert ended(client, client.post(f"/api/retry/{image_id}")) == "Completed"
    assert shown(served, image_id)["status"] == "Ready"
