"""A reader killed in the middle of 1 GiB costs at most one percent more than the file, over near and far connections."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from catalog.settings import Settings
from storage.sources import open_plain
from storage.sources.http.source import HttpSource
from tests.contracts.source_servers import Parallel
from tests.services.nginx import nginx

GIB = 1 << 30
READER = """
import sys, time
from catalog.settings import Settings
from storage.sources import open_plain
source = open_plain(sys.argv[1], Settings(allowed_networks=("127.0.0.0/8",)))
if sys.argv[2] == "parallel":
    from tests.contracts.source_servers import Parallel
    source = Parallel(source)
buffer, kept = memoryview(bytearray(1 << 20)), 0
with source.open(0, source.probe()) as stream:
    while size := stream.readinto(buffer):
        kept += size
        if kept >= 1 << 29:
            print(kept, flush=True)
            time.sleep(60)
"""


@pytest.mark.parametrize("way", ["one", "parallel"])
def test_what_a_killed_reader_loses_is_below_one_percent(
    way: str, tmp_path: Path, with_: Callable[..., Settings]
) -> None:
    (tmp_path / "files").mkdir()
    with (tmp_path / "files" / "disk.raw").open("wb") as file:
        file.truncate(GIB)
    with nginx(tmp_path / "nginx", tmp_path / "files") as server:
        url = f"{server.url}/disk.raw"
        child = subprocess.Popen([sys.executable, "-c", READER, url, way], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        kept = int(child.stdout.readline())
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        made = open_plain(url, with_(read_timeout_s=30))
        assert isinstance(made, HttpSource)
        source = Parallel(made) if way == "parallel" else made
        rest, buffer = 0, memoryview(bytearray(1 << 20))
        with source.open(kept, source.probe()) as stream:
            while size := stream.readinto(buffer):
                rest += size
        assert kept + rest == GIB
    # nginx has stopped: every request is in its log, the broken ones with what its kernel took.
    assert server.bytes_sent() <= 1.01 * GIB
