"""Files written aside and locked files: whole or not at all, closed to others, durable, one at a time."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from catalog.files import locked, made_aside, made_once, open_locked, written_aside


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_takes_its_place_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "note"
    with written_aside(target) as file:
        file.write(b"first")
        assert not target.exists()
    assert target.read_bytes() == b"first"
    with pytest.raises(TypeError), written_aside(target) as file:
        file.writelines((b"half of the sec", "ond"))  # type: ignore[arg-type]
    assert target.read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["note"]


def test_what_is_made_is_closed_whatever_the_mask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with written_aside(tmp_path / "a"):
            pass
        made_once(tmp_path / "b", b"key")
        os.close(open_locked(tmp_path / "c", os.O_WRONLY | os.O_CREAT))
    finally:
        os.umask(before)
    assert {mode_of(path) for path in tmp_path.iterdir()} == {0o600}


def test_what_a_dead_program_made_aside_goes_before_the_next(tmp_path: Path) -> None:
    (tmp_path / ".disk.new").write_bytes(b"left by a death")
    with made_aside(tmp_path / "disk") as aside:
        assert not aside.exists()
        aside.write_bytes(b"whole")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("disk", b"whole")]


def test_bytes_reach_the_disk_before_their_name_and_the_name_before_the_end(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from catalog.files import written_aside\n"
        "with written_aside(Path(sys.argv[1])) as file: file.write(b'x')"
    )
    log = tmp_path / "calls"
    traced = ["strace", "-f", "-qq", "-e", "trace=fsync,rename,renameat,renameat2", "-o", str(log)]
    subprocess.run([*traced, sys.executable, "-c", program, str(tmp_path / "note")], check=True, timeout=120)
    calls = [line.split()[1].partition("(")[0].rstrip("at2") for line in log.read_text().splitlines()]
    assert calls[-3:] == ["fsync", "rename", "fsync"]


def test_all_who_ask_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        said = set(pool.map(lambda n: made_once(tmp_path / "key", bytes([n]) * 32), range(8)))
    assert said == {(tmp_path / "key").read_bytes()}
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_lock_is_held_by_one_and_ends_with_its_block(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(BlockingIOError):
        open_locked(tmp_path, wait=False)
    with locked(tmp_path, wait=False):
        pass
