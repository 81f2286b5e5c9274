"""A process killed in the middle of an add, from every kind of server: the next one fetches the rest, and nothing else."""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from storage.registry import open_image_storage
from tests.contracts.source_servers import Place, ftp_place, http_place, s3_place, sftp_place
from tests.storage.stores import record

SIZE = 96 << 20
NOTED = 1 << 20  # on the same machine: what is noted at once
NOT_DURABLE = 26 << 20  # on another one: in large blocks between the source and the store
UNDER_WAY = 6 << 20  # in the kernels between, and in messages about the file
LOOKED_AT = 5 << 20  # an FTP server's kernel takes this of each look at the first bytes, though it goes over no line
PLACES: dict[str, Callable[[Path], AbstractContextManager[Place]]] = {
    "http": http_place, "ftp": ftp_place, "sftp": sftp_place, "s3": s3_place,
}  # fmt: skip


@pytest.fixture(params=list(PLACES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with PLACES[request.param](tmp_path) as made:
        yield made


def kept(folder: Path, place: Place) -> int:
    if not (folder / "landings").exists():
        return 0
    store = open_image_storage(record(f"file://{folder}"), settings=place.settings)
    return sum(landing.kept_bytes for landing in store.landings())


@pytest.mark.parametrize("same_machine", [True, False])
def test_the_next_process_fetches_the_rest_only(place: Place, tmp_path: Path, same_machine: bool) -> None:
    body = os.urandom(SIZE)
    place.put("disk.raw", body)
    folder = tmp_path / "store"
    with subprocess.Popen(adding(place, tmp_path, "first"), stdout=subprocess.DEVNULL) as first:
        deadline = time.monotonic() + 60
        while kept(folder, place) < SIZE // 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        first.kill()
    before = kept(folder, place)
    assert before < SIZE, "it was killed too late"
    command = adding(place, tmp_path, "first" if same_machine else "second")
    second = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    began, md5 = second.stdout.split()
    assert md5 == hashlib.md5(body).hexdigest()
    assert int(began) >= before if same_machine else int(began) == before
    looked = 2 * LOOKED_AT if place.scheme == "ftp" else 0
    lost = NOTED if same_machine else NOT_DURABLE
    assert place.sent() <= SIZE + lost + UNDER_WAY + looked


def adding(place: Place, folder: Path, machine: str) -> list[str]:
    """Return the command of an add, as on a machine with memory of its own."""
    memory = folder / machine
    memory.mkdir(exist_ok=True)
    settings = place.settings.model_copy(update={"parallel_ranges": 1, "receiving": memory})
    return [
        sys.executable, "-m", "tests.faults.dying_arrival", place.url("disk.raw"), place.credentials or "",
        settings.model_dump_json(), str(folder / "store"),
    ]  # fmt: skip
