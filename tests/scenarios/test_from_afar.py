"""From another machine with only an address and a password: the command, as a program of its own, from sign-in to recovery.

The machine's home holds nothing but a login: no Prefect, no catalog. What the command prints is what programs read.
"""

import hashlib
import json
import random
import signal
import time
from collections.abc import Iterator

import pytest

from flows.client import Client
from tests.scenarios.conftest import PASSWORD
from tests.services.machine import Machine
from tests.services.payload import payload
from tests.services.proxy import proxy
from tests.services.serving import Serving

pytestmark = pytest.mark.xdist_group("browser")
MIB = 1 << 20


@payload
def content() -> bytes:
    return random.Random(23).randbytes(24 * MIB + 5) + bytes(12 * MIB)


@pytest.fixture(scope="module")
def machine(served: Serving, root: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Sign in as a person of the account afar, whom an administrator added."""
    with Client(served.console, root["Authorization"].removeprefix("Bearer ")) as administrator:
        administrator.people.add_identity("zoe", "afar", role="user", password=PASSWORD)
    home = tmp_path_factory.mktemp("machine")
    port = int(served.console.rpartition(":")[2])
    with proxy(port) as way:
        made = Machine(home, f"http://127.0.0.1:{way.port}", way)
        status, _, err = made.told("login", f"{made.url}/", given=f"zoe\n{PASSWORD}\n")
        assert status == 0, err
        yield made


@pytest.fixture(scope="module")
def image(machine: Machine, served: Serving) -> dict[str, object]:
    """Send a file of the machine: the command is killed in the middle, and the way is cut in the next one."""
    (machine.home / "disk.raw").write_bytes(content())
    words = ("add-volume-image", "--name", "data", "--image-format", "raw", "--image-path", "./disk.raw", "--json")
    machine.way.delay_s = 0.01  # before each 64 KiB
    process = machine.start(*words)
    killed_at = grown(served, 2 * MIB)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    (note,) = (machine.home / "sending").glob("*.json")
    again = machine.start(*words)
    cut_at = grown(served, killed_at + 2 * MIB)
    machine.way.cut()
    machine.way.delay_s = 0
    out, err = again.communicate(timeout=200)
    assert again.returncode == 0, err
    assert cut_at < len(content())
    assert list((machine.home / "sending").iterdir()) == []
    found: dict[str, object] = json.loads(out)
    assert found["id"] == note.stem  # the upload that was begun first
    return found


def grown(served: Serving, size: int) -> int:
    """Return how much of the file the service has, once it has so much."""
    until = time.monotonic() + 100
    while (there := max([file.stat().st_size for file in (served.home / "uploads").glob("*/data")], default=0)) < size:
        assert time.monotonic() < until
        time.sleep(0.02)
    return there


def test_a_file_of_the_machine_is_an_image(machine: Machine, image: dict[str, object]) -> None:
    assert (image["status"], image["owner"], image["sha256"]) == (
        "Ready", "afar", hashlib.sha256(content()).hexdigest(),
    )  # fmt: skip
    assert machine.answer("show", str(image["id"])) == image
    assert [one["id"] for one in json.loads(machine.told("images", "--json")[1])] == [image["id"]]


def test_it_is_exported_and_downloaded_though_the_way_is_cut(machine: Machine, image: dict[str, object]) -> None:
    export = machine.answer("export-image", "--image-id", str(image["id"]))
    machine.way.cut_after = 9 * MIB
    status, out, err = machine.told("download", str(export["id"]), "-o", "copy.raw", "--json", IMAGEWRIGHT_RETRIES="0")
    assert (status, out, "goes on from there" in err) == (1, "", True), err
    done = machine.answer("download", str(export["id"]), "-o", "copy.raw")
    assert (machine.home / "copy.raw").read_bytes() == content()
    assert int(str(done["received_bytes"])) < 30 * MIB
    straight = machine.answer("download", str(image["id"]), "-o", "straight.raw")
    assert (machine.home / "straight.raw").read_bytes() == content()
    assert int(str(straight["received_bytes"])) < 26 * MIB  # its holes stay where they are


def test_it_is_deleted_and_recovered(machine: Machine, image: dict[str, object]) -> None:
    assert machine.told("delete-image", "--image-ids", str(image["id"]))[0] == 0
    assert [one["id"] for one in json.loads(machine.told("bin", "--json")[1])] == [image["id"]]
    assert machine.told("recover-image", "--image-ids", str(image["id"]))[0] == 0
    assert machine.answer("show", str(image["id"]))["status"] == "Ready"


def test_what_fails_there_fails_here(machine: Machine, image: dict[str, object]) -> None:
    identity = str(image["id"])
    status, out, err = machine.told("export-image", "--image-id", identity, "--image-storage", "nowhere")
    assert (status, out, "no image storage 'nowhere'" in err) == (1, "", True)
    status, _, err = machine.told("reclaim-space")
    assert (status, "the role admin" in err) == (1, True)
    plan = machine.answer("edit-image", "--image-id", identity, "--description", "new", "--plan-only")
    assert plan["operation"]
    assert machine.answer("show", identity)["description"] == ""


def test_a_wrong_checksum_keeps_the_file_there_and_another_word_adds_it(machine: Machine) -> None:
    small = machine.home / "small.raw"
    small.write_bytes(content()[: 2 * MIB])
    words = ("add-volume-image", "--name", "small", "--image-format", "raw", "--image-path", str(small))
    status, _, err = machine.told(*words, "--expected-checksum", f"sha256:{'0' * 64}")
    assert (status, "expected checksum" in err) == (1, True), err
    passed = machine.way.bytes_sent
    added = machine.answer(*words)
    assert added["sha256"] == hashlib.sha256(small.read_bytes()).hexdigest()
    assert machine.way.bytes_sent > passed


def test_the_log_says_who_by_which_door(machine: Machine, image: dict[str, object]) -> None:
    events = json.loads(machine.told("events", str(image["id"]), "--json")[1])
    assert {event["actor"] for event in events} == {"afar"}
    assert {event["identity"] for event in events if event["kind"] == "imagewright.image.deleted"} == {"zoe"}


def test_the_machine_keeps_nothing_but_the_login(machine: Machine, image: dict[str, object]) -> None:
    kept = {file.name for file in machine.home.iterdir()} - {"disk.raw", "copy.raw", "straight.raw", "small.raw"}
    assert kept == {"login.json", "sending"}
    assert machine.told("logout")[0] == 0
    assert machine.told("whoami")[0] == 1
