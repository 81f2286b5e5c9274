import fcntl
from pathlib import Path

import pytest

from catalog.errors import StorageRefused, StorageUnavailable
from storage.imagestore.objects.directory import DirectoryObjects


@pytest.fixture
def objects(tmp_path: Path) -> DirectoryObjects:
    opened = DirectoryObjects(tmp_path / "store")
    opened.prepare()
    return opened


def test_a_torn_last_piece_is_left_out_and_written_over(objects: DirectoryObjects) -> None:
    objects.append("l/journal", b"whole")
    objects.append("l/journal", b"torn")
    log = objects.root / "l" / "journal"
    log.write_bytes(log.read_bytes()[:-2])
    again = DirectoryObjects(objects.root)
    assert list(again.pieces("l/journal")) == [b"whole"]
    again.append("l/journal", b"next")
    assert list(again.pieces("l/journal")) == [b"whole", b"next"]


def test_a_garbled_piece_ends_the_log(objects: DirectoryObjects) -> None:
    for piece in (b"one", b"two", b"three"):
        objects.append("log", piece)
    data = bytearray((objects.root / "log").read_bytes())
    data[8 + 3 + 8] ^= 1
    (objects.root / "log").write_bytes(data)
    assert list(objects.pieces("log")) == [b"one"]


def test_what_a_dead_process_left_aside_goes_and_what_a_live_one_writes_stays(
    objects: DirectoryObjects,
) -> None:
    objects.put("a", b"x")
    aside = objects.root / "aside"
    (aside / "dead").write_bytes(b"half")
    (aside / "live").write_bytes(b"half")
    with (aside / "live").open("rb") as live:
        fcntl.flock(live, fcntl.LOCK_EX)
        DirectoryObjects(objects.root).prepare()
        assert [path.name for path in aside.iterdir()] == ["live"]


def test_what_was_written_aside_can_be_read_before_it_is_published(objects: DirectoryObjects) -> None:
    writer = objects.writer("landings/x/1.part")
    writer.write(b"kept through a SIGKILL")
    assert DirectoryObjects(objects.root).get("landings/x/1.part") == b"kept through a SIGKILL"


@pytest.mark.parametrize("name", ["../out", "a/../../b", "", "a//b", "/etc/passwd"])
def test_names_never_lead_out_of_the_directory(objects: DirectoryObjects, name: str) -> None:
    with pytest.raises(StorageRefused):
        objects.put(name, b"x")
    with pytest.raises(StorageRefused):
        objects.get(name)


def test_a_directory_that_went_away_in_the_middle_is_not_made_anew(objects: DirectoryObjects) -> None:
    objects.put("manifests/a", b"a")
    objects.root.rename(objects.root.with_name("unmounted"))
    for change in (lambda: objects.put("manifests/b", b"b"), lambda: objects.create("index/1", b"b")):
        with pytest.raises(StorageUnavailable, match="see whether its disk is mounted"):
            change()
    assert not objects.root.exists()
