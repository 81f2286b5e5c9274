"""A process killed in the middle of an add, from every kind of server: the next one fetches the rest, and nothing else."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import pytest

from storage.registry import open_image_storage
from tests.contracts.source_servers import Place, ftp_place, http_place, s3_place, sftp_place
from tests.faults.dying_arrival import arrive
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


@pytest.fixture(scope="module")
def disk() -> tuple[bytes, str]:
    """Return a disk and its digest."""
    body = os.urandom(SIZE)
    return body, hashlib.md5(body).hexdigest()


def kept(folder: Path, place: Place) -> int:
    if not (folder / "landings").exists():
        return 0
    store = open_image_storage(record(f"file://{folder}"), settings=place.settings)
    return sum(landing.kept_bytes for landing in store.landings())


@pytest.mark.parametrize("same_machine", [True, False])
def test_the_next_process_fetches_the_rest_only(
    place: Place, disk: tuple[bytes, str], tmp_path: Path, forks: ForkServerContext, same_machine: bool
) -> None:
    place.put("disk.raw", disk[0])
    folder = tmp_path / "store"
    with adding(forks, place, tmp_path, "first") as (first, _):
        deadline = time.monotonic() + 60
        while kept(folder, place) < SIZE // 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        first.kill()
    before = kept(folder, place)
    assert before < SIZE, "it was killed too late"
    with adding(forks, place, tmp_path, "first" if same_machine else "second") as (second, said):
        began, md5 = said.recv(), said.recv()
        second.join(120)
        assert second.exitcode == 0
    assert md5 == disk[1]
    assert began >= before if same_machine else began == before
    looked = 2 * LOOKED_AT if place.scheme == "ftp" else 0
    lost = NOTED if same_machine else NOT_DURABLE
    assert place.sent() <= SIZE + lost + UNDER_WAY + looked


@contextmanager
def adding(
    forks: ForkServerContext, place: Place, folder: Path, machine: str
) -> Iterator[tuple[ForkServerProcess, Connection]]:
    """Start an add, as on a machine with memory of its own; yield its process and what it says, and see it end."""
    memory = folder / machine
    memory.mkdir(exist_ok=True)
    settings = place.settings.model_copy(update={"parallel_ranges": 1, "receiving": memory})
    ours, theirs = forks.Pipe(duplex=False)
    process = forks.Process(
        target=arrive, args=(place.url("disk.raw"), place.credentials, settings, str(folder / "store"), theirs)
    )
    process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        process.join(10)
        process.kill()
        process.join()
