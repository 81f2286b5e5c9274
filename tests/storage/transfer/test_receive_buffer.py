import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.settings import Settings
from storage.protocols import SourceInfo
from storage.transfer import receive_buffer
from storage.transfer.receive_buffer import ReceiveBuffer, forget, forget_all_but, place
from storage.transfer.transfer import NOTE_BYTES
from tests.services.small_disk import small_disk
from tests.storage.transfer.rings import INFO, RING, content

DYING = """
import os, random, signal, sys
from pathlib import Path
from storage.transfer.receive_buffer import ReceiveBuffer
from storage.transfer.transfer import NOTE_BYTES
from tests.storage.transfer.rings import INFO, RING, content

DATA = content()
ring = ReceiveBuffer(Path(sys.argv[1]), RING)
ring.open(INFO)
for at in range(int(sys.argv[2]), int(sys.argv[3]), NOTE_BYTES):
    ring.note(at, memoryview(DATA)[at : min(at + NOTE_BYTES, int(sys.argv[3]))])
os.kill(os.getpid(), signal.SIGKILL)
"""

DYING_AT_EACH_STEP = """
import os, sys
from itertools import count
from pathlib import Path
from storage.transfer.receive_buffer import ReceiveBuffer
from storage.transfer.transfer import NOTE_BYTES
from tests.storage.transfer.rings import INFO, RING, content

DATA = content()

def die_at(step, part):
    steps, write = count(), os.pwrite
    def pwrite(descriptor, data, at):
        if next(steps) == step:
            write(descriptor, memoryview(data)[: int(len(data) * part)], at)
            os._exit(0)
        return write(descriptor, data, at)
    os.pwrite = pwrite

for step in count():
    for part in (0, 0.5, 1):
        file = Path(sys.argv[1]) / f"{step}-{part}"
        if not (child := os.fork()):
            die_at(step, part)
            ring = ReceiveBuffer(file, RING)
            ring.open(INFO)
            for at in range(100, 6 * NOTE_BYTES, NOTE_BYTES):
                ring.note(at, memoryview(DATA)[at : at + NOTE_BYTES])
            os._exit(1)
        if os.waitpid(child, 0)[1]:
            file.unlink()
            sys.exit()
"""


def left_by_a_dead_process(file: Path, start: int, end: int) -> None:
    died = subprocess.run([sys.executable, "-c", DYING, str(file), str(start), str(end)], check=False)
    assert died.returncode == -signal.SIGKILL


def taken_up(file: Path, offset: int, info: SourceInfo = INFO) -> bytes:
    ring = ReceiveBuffer(file, RING)
    ring.open(info)
    try:
        return b"".join(ring.since(offset))
    finally:
        ring.close()


def test_what_a_killed_process_noted_is_there_for_the_next(tmp_path: Path) -> None:
    file, end = tmp_path / "ring", 9 * NOTE_BYTES + 5
    left_by_a_dead_process(file, 3, end)
    assert taken_up(file, end - 2 * NOTE_BYTES) == content()[end - 2 * NOTE_BYTES : end]
    assert not file.exists(), "its user deletes it"


def test_whatever_the_moment_of_a_death_what_is_taken_up_is_right(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", DYING_AT_EACH_STEP, str(tmp_path)], check=True)
    deaths = sorted(tmp_path.iterdir())
    assert len(deaths) > 3 * 12, "each note is a piece or two, and a header"
    longest = 0
    for file in deaths:
        for offset in range(100, 7 * NOTE_BYTES, NOTE_BYTES // 2):
            left = file.with_suffix(".left")
            shutil.copyfile(file, left)
            found = taken_up(left, offset)
            assert found == content()[offset : offset + len(found)], (file.name, offset)
            longest = max(longest, len(found))
    assert longest >= RING - 2 * NOTE_BYTES


@pytest.mark.parametrize(
    "other",
    [
        INFO.model_copy(update={"etag": '"2"'}),
        INFO.model_copy(update={"size_bytes": 17 << 20}),
        INFO.model_copy(update={"last_modified": "yesterday"}),
    ],
)
def test_nothing_of_another_file_is_used(tmp_path: Path, other: SourceInfo) -> None:
    left_by_a_dead_process(tmp_path / "ring", 0, NOTE_BYTES)
    assert taken_up(tmp_path / "ring", 0, other) == b""


def test_nothing_from_before_a_restart_of_the_machine_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left_by_a_dead_process(tmp_path / "ring", 0, NOTE_BYTES)
    monkeypatch.setattr(receive_buffer, "_boot_id", lambda: "another")
    assert taken_up(tmp_path / "ring", 0) == b""


@pytest.mark.parametrize(
    ("start", "end", "offset"),
    [
        (10, 20, 9),  # there is a hole before it
        (10, 20, 21),  # the store has more
        (0, RING, 0),  # those bytes were written over
    ],
)
def test_what_does_not_join_is_not_used(tmp_path: Path, start: int, end: int, offset: int) -> None:
    left_by_a_dead_process(tmp_path / "ring", start, end)
    assert taken_up(tmp_path / "ring", offset) == b""


def test_a_living_process_is_never_read_from(tmp_path: Path) -> None:
    owner, other = ReceiveBuffer(tmp_path / "ring", RING), ReceiveBuffer(tmp_path / "ring", RING)
    owner.open(INFO)
    owner.note(0, memoryview(content())[:100])
    other.open(INFO)
    assert not other.active
    assert list(other.since(0)) == []
    other.note(0, memoryview(b"x" * 100))
    other.close()
    assert b"".join(owner.since(0)) == content()[:100]
    owner.close()


def test_what_a_process_leaves_that_lived_too_long_is_deleted_by_the_one_that_finished_the_add(
    tmp_path: Path,
) -> None:
    first, second = ReceiveBuffer(tmp_path / "ring", RING), ReceiveBuffer(tmp_path / "ring", RING)
    first.open(INFO)
    second.open(INFO)
    second.close()
    assert (tmp_path / "ring").exists(), "it is in use"
    del first  # what is left of a process that died by now: a file without its lock
    os.close(descriptor_of(tmp_path / "ring"))
    second.close()
    assert not list(tmp_path.iterdir())


def descriptor_of(file: Path) -> int:
    """Return this process's descriptor of an open file."""
    return next(int(link.name) for link in Path("/proc/self/fd").iterdir() if link.resolve() == file.resolve())


def test_bytes_that_are_read_again_keep_those_before_them(tmp_path: Path) -> None:
    ring = ReceiveBuffer(tmp_path / "ring", RING)
    ring.open(INFO)
    ring.note(0, memoryview(content())[:1000])
    ring.note(400, memoryview(content())[400:700])  # as after a step that failed between reading and handing on
    assert b"".join(ring.since(100)) == content()[100:700]
    ring.close()


def test_others_are_left_their_memory(tmp_path: Path) -> None:
    with small_disk(tmp_path / "memory", 3 * RING) as memory:
        rings = [ReceiveBuffer(memory.root / name, RING) for name in ("first", "second")]
        for ring in rings:
            ring.open(INFO)
        assert [ring.active for ring in rings] == [True, False]
        assert memory.free_bytes > RING
        rings[1].note(0, memoryview(content())[:100])
        assert list(rings[1].since(0)) == []
        for ring in rings:
            ring.close()
        assert not list(memory.root.iterdir())


def test_a_folder_that_comes_and_goes_stops_nobody(tmp_path: Path) -> None:
    settings, ended = Settings(home=tmp_path / "home", receiving=tmp_path), threading.Event()
    own = tmp_path / f"imagewright-{os.getuid()}"

    def clear_away() -> None:
        while not ended.is_set():
            with contextlib.suppress(OSError):
                own.rmdir()

    cleaner = threading.Thread(target=clear_away)
    cleaner.start()
    try:
        for _ in range(2000):
            ring = ReceiveBuffer(place(settings, "a"), RING)
            ring.open(INFO.model_copy(update={"size_bytes": receive_buffer.WORTH_BYTES}))
            ring.close()
            forget(settings, "a")
    finally:
        ended.set()
        cleaner.join()


@pytest.mark.parametrize(
    "info",
    [
        INFO.model_copy(update={"resumable": False}),
        INFO.model_copy(update={"local": True}),
        INFO.model_copy(update={"size_bytes": 1000}),
        INFO.model_copy(update={"size_bytes": None}),
    ],
)
def test_nothing_is_kept_of_what_is_not_worth_it(tmp_path: Path, info: SourceInfo) -> None:
    ring = ReceiveBuffer(tmp_path / "ring", RING)
    ring.open(info)
    assert not ring.active
    assert not list(tmp_path.iterdir())


@given(
    st.lists(st.integers(1, 40), max_size=60),
    st.integers(0, 200),
    st.floats(0, 1),
)
def test_a_ring_gives_back_exactly_what_was_noted_last(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[int], start: int, part: float
) -> None:
    # The smallest ring there can be is a step and a bit: the bit is what is certain to be there.
    room = 64
    ring = ReceiveBuffer(tmp_path_factory.mktemp("ring") / "ring", NOTE_BYTES + room)
    ring.open(INFO)
    end = start
    for size in pieces:
        ring.note(end, memoryview(content())[end : end + size])
        end += size
    offset = start + int((end - start) * part)
    found = b"".join(ring.since(offset))
    assert found == (content()[offset:end] if end - offset <= room else b"")
    ring.note(end, memoryview(content())[end : end + 7])
    assert b"".join(ring.since(end)) == content()[end : end + 7]
    ring.close()


def test_a_ring_written_round_gives_back_its_last_bytes(tmp_path: Path) -> None:
    ring = ReceiveBuffer(tmp_path / "ring", RING)
    ring.open(INFO)
    end, sizes = 0, random.Random(2)
    while end < 3 * RING:
        size = sizes.randint(1, NOTE_BYTES)
        ring.note(end, memoryview(content())[end : end + size])
        end += size
    last = end - RING + NOTE_BYTES
    assert b"".join(ring.since(last)) == content()[last:end]
    ring.close()


def test_a_place_that_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", receiving=tmp_path)
    own = tmp_path / f"imagewright-{os.getuid()}"
    own.mkdir(mode=0o777)
    own.chmod(0o777)
    assert place(settings, "a") is None
    own.chmod(0o700)
    assert place(settings, "a") != place(settings, "b") is not None
    own.rmdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    own.symlink_to(tmp_path / "elsewhere")
    assert place(settings, "a") is None
    assert place(Settings(home=tmp_path, receiving=tmp_path / "nowhere"), "a") is None


def test_what_nobody_goes_on_with_is_deleted(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", receiving=tmp_path)
    files = [place(settings, name) for name in ("cancelled", "old", "used", "young")]
    cancelled, old, used, young = (file for file in files if file is not None)
    for file in (cancelled, old, young):
        left_by_a_dead_process(file, 0, 10)
    ring = ReceiveBuffer(used)
    ring.open(INFO)
    long_ago = time.time() - receive_buffer.LEFT_S - 1
    for file in (old, used):
        os.utime(file, (long_ago, long_ago))
    forget(settings, "cancelled")
    forget(settings, "used")
    assert set(young.parent.iterdir()) == {used, young}
    ring.close()


def test_what_may_be_gone_on_with_is_kept_and_so_is_what_another_catalog_has(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", receiving=tmp_path)
    other = settings.model_copy(update={"home": tmp_path / "elsewhere"})
    kept, over, others, used = (
        place(settings, "kept"), place(settings, "over"), place(other, "over"), place(settings, "used")
    )  # fmt: skip
    for file in (kept, over, others):
        assert file is not None
        left_by_a_dead_process(file, 0, 10)
    ring = ReceiveBuffer(used)
    ring.open(INFO)
    forget_all_but(settings, ["kept"])
    assert kept is not None
    assert set(kept.parent.iterdir()) == {kept, others, used}
    ring.close()


def test_an_add_without_a_ring_takes_away_what_a_dead_process_left_of_it(tmp_path: Path) -> None:
    left_by_a_dead_process(tmp_path / "ring", 0, 10)
    ring = ReceiveBuffer(tmp_path / "ring", RING)
    ring.open(INFO.model_copy(update={"resumable": False}))
    assert not ring.active
    ring.close()
    assert not list(tmp_path.iterdir())
