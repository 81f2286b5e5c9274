"""Scratch folders go with the block, and those of killed processes with the next one that needs a folder."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from catalog.settings import Settings
from deployments.definitions import ROOT
from storage.scratch import scratch_folder

HOLD = """
import sys, time
from pathlib import Path
from catalog.settings import Settings
from storage.scratch import scratch_folder
with scratch_folder(Settings(scratch=Path(sys.argv[1])), "held") as folder:
    (folder / "file").write_bytes(b"x")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(scratch=tmp_path / "scratch")


def test_a_folder_is_gone_after_the_block_also_when_it_fails(settings: Settings) -> None:
    def failing() -> None:
        with scratch_folder(settings, "x") as folder:
            (folder / "file").write_bytes(b"x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert not list(settings.scratch_folder.iterdir())


def test_what_a_killed_process_left_is_deleted_and_what_a_living_one_has_is_kept(settings: Settings) -> None:
    command = [sys.executable, "-c", HOLD, str(settings.scratch_folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        held = Path(process.stdout.readline().strip())
        with scratch_folder(settings, "mine") as mine:
            assert (held / "file").is_file()
            process.send_signal(signal.SIGKILL)
            process.wait()
            with scratch_folder(settings, "another"):
                assert not held.exists()
                assert mine.is_dir()


def test_other_folders_beside_them_are_left_alone(settings: Settings) -> None:
    other = settings.scratch_folder / "somebody's"
    other.mkdir(parents=True)
    with scratch_folder(settings, "x"):
        assert other.is_dir()
