"""From another network namespace with only a token: everything that a person does with an image, at its real size.

The smaller version, which has no namespace and a password instead of the token, is `test_from_afar.py`.
"""

import hashlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from flows.client import Client
from tests.services.machine import Machine
from tests.services.networks import namespace
from tests.services.nginx import nginx
from tests.services.proxy import proxy
from tests.services.serving import Serving, serving

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("another network"), pytest.mark.timeout(3600)]
MIB = 1 << 20
SIZE = int(os.environ.get("IMAGEWRIGHT_TEST_UPLOAD_MIB", "1024")) * MIB
SPARSE = 8 << 30
DATA = {0: 5 * MIB, 3 << 30: 17 * MIB, SPARSE - 9 * MIB: 9 * MIB}
"""Where the sparse image has bytes, and how many."""
PREFIX, PASSWORD, WITHIN_S = "10.203.7", "correct horse 7", 1500.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("service")
    settings = {"IMAGEWRIGHT_CONSOLE_HOSTS": f"127.0.0.1,{PREFIX}.1", "IMAGEWRIGHT_FILE_ROOTS": str(folder),
                "IMAGEWRIGHT_ALLOWED_NETWORKS": "127.0.0.0/8"}  # fmt: skip
    with serving(folder, **settings) as running:
        yield running


@pytest.fixture(scope="module")
def root(served: Serving) -> Iterator[Client]:
    said = json.loads((served.home / "run" / "server.json").read_text())
    given = {"token": said["setup"].partition("#")[2], "name": "root", "password": PASSWORD}
    assert httpx.post(f"{said['api']}/setup", json=given, timeout=60).status_code == 201
    session = httpx.post(f"{said['api']}/session", json={"name": "root", "password": PASSWORD}, timeout=60).json()
    with Client(said["console"], session["token"]) as client:
        yield client


@pytest.fixture(scope="module")
def machine(served: Serving, root: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Sign in from a machine that has an address and a token, and no way to loopback."""
    made = httpx.Client(base_url=f"{served.console}/api/v1", headers={"Authorization": f"Bearer {root.login.token}"})
    root.people.add_identity("builder", "team", role="user", kind="robot")
    token = made.post("/tokens", json={"identity": "builder"}, timeout=60).json()["token"]
    home = tmp_path_factory.mktemp("machine")
    port = int(served.console.rpartition(":")[2])
    with namespace(PREFIX) as network, proxy(port, at=f"{PREFIX}.1") as way:
        there = Machine(home, f"http://{PREFIX}.1:{way.port}", way, network.name)
        status, _, err = there.told("login", "--token", served.console, given=f"{token}\n")
        assert status == 1, "loopback is its own, not ours"
        status, _, err = there.told("login", "--token", there.url, given=f"{token}\n")
        assert status == 0, err
        yield there


def test_an_image_is_added_by_url_and_watched(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "x.raw").write_bytes(content := os.urandom(3 * MIB))
    with nginx(tmp_path / "nginx", tmp_path / "www") as site:
        status, out, err = machine.told(
            "add-volume-image", "--name", "x", "--image-format", "raw", "--image-path", f"{site.url}/x.raw", "--json",
            within_s=WITHIN_S,
        )  # fmt: skip
    assert (status, json.loads(out)["sha256"]) == (0, hashlib.sha256(content).hexdigest()), err


@pytest.fixture(scope="module")
def disk(machine: Machine) -> str:
    """Write a disk that has nothing twice; return its SHA-256."""
    digest = hashlib.sha256()
    with (machine.home / "disk.raw").open("wb") as file:
        for _ in range(SIZE // MIB):
            digest.update(block := os.urandom(MIB))
            file.write(block)
    return digest.hexdigest()


@pytest.fixture(scope="module")
def image(machine: Machine, served: Serving, disk: str) -> dict[str, object]:
    """Send it: the way is cut, and later the command killed; what was sent is not sent again."""
    words = ("add-volume-image", "--name", "data", "--image-format", "raw", "--image-path", "./disk.raw", "--json")
    passed = machine.way.bytes_received
    process = machine.start(*words)
    grown(served, SIZE // 4)
    machine.way.cut()
    killed_at = grown(served, SIZE // 2)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    again = machine.start(*words)
    out, err = again.communicate(timeout=WITHIN_S)
    assert again.returncode == 0, err
    assert SIZE // 2 <= killed_at < SIZE
    assert machine.way.bytes_received - passed < 1.1 * SIZE + 16 * MIB
    found: dict[str, object] = json.loads(out)
    return found


def grown(served: Serving, size: int) -> int:
    """Return how much of the file the service has, once it has so much."""
    until = time.monotonic() + WITHIN_S
    while (there := max([file.stat().st_size for file in (served.home / "uploads").glob("*/data")], default=0)) < size:
        assert time.monotonic() < until
        time.sleep(0.02)
    return there


def test_a_large_file_is_sent_though_it_breaks_off_twice(machine: Machine, image: dict[str, object], disk: str) -> None:
    assert (image["status"], image["owner"], image["sha256"]) == ("Ready", "team", disk)


def test_it_comes_back_though_that_breaks_off(machine: Machine, image: dict[str, object], disk: str) -> None:
    export = machine.answer("export-image", "--image-id", str(image["id"]), within_s=WITHIN_S)
    words = ("download", str(export["id"]), "-o", "copy.raw")
    machine.way.cut_after = 2 * SIZE // 5
    status, out, err = machine.told(*words, "--json", within_s=WITHIN_S, IMAGEWRIGHT_RETRIES="0")
    assert (status, out, "goes on from there" in err) == (1, "", True), err
    done = machine.answer(*words, within_s=WITHIN_S)
    assert int(str(done["received_bytes"])) < 0.65 * SIZE
    with (machine.home / "copy.raw").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == disk == done["sha256"]
    (machine.home / "copy.raw").unlink()


def test_it_is_deleted_and_recovered(machine: Machine, image: dict[str, object]) -> None:
    assert machine.told("delete-image", "--image-ids", str(image["id"]))[0] == 0
    assert str(image["id"]) in [one["id"] for one in json.loads(machine.told("bin", "--json")[1])]
    assert machine.told("recover-image", "--image-ids", str(image["id"]))[0] == 0
    assert machine.answer("show", str(image["id"]))["status"] == "Ready"


def test_of_a_sparse_image_only_its_data_travels(machine: Machine, root: Client, served: Serving) -> None:
    source = served.home.parent / "sparse.raw"
    with source.open("wb") as file:
        for place, size in DATA.items():
            file.seek(place)
            file.write(os.urandom(size))
    asked = {"name": "sparse", "image_format": "raw", "image_path": source.as_uri(), "account": "team"}
    added = root.run("add-volume-image", asked)
    identity = str(getattr(added, "id"))  # noqa: B009 - a record of whichever operation
    before = machine.way.bytes_sent
    done = machine.answer("download", identity, "-o", "sparse.raw", within_s=WITHIN_S)
    data = sum(DATA.values())
    assert data <= int(str(done["received_bytes"])) < data + 2 * MIB
    assert machine.way.bytes_sent - before < data + 3 * MIB
    copy = machine.home / "sparse.raw"
    assert copy.stat().st_size == SPARSE
    assert copy.stat().st_blocks * 512 < data + 4 * MIB
    assert (done["size_bytes"], done["sha256"]) == (SPARSE, getattr(added, "sha256"))  # noqa: B009
    for place, size in DATA.items():
        with source.open("rb") as one, copy.open("rb") as other:
            one.seek(place)
            other.seek(place)
            assert one.read(size) == other.read(size)
