"""A writer in a process of its own, killed in the middle."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.services.ceph import CephCluster

WRITER = Path(__file__).with_name("writer.py")


def write_until_killed(cluster: CephCluster, pool: str, data: bytes, stop_at: int) -> int:
    """Let another process write, SIGKILL it once it has taken `stop_at` bytes, return how many it took."""
    file = cluster.folder / f"{pool}.data"
    file.write_bytes(data)
    writer = subprocess.Popen(
        [sys.executable, WRITER, cluster.url(pool), file, str(stop_at)],
        stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert writer.stdout is not None
    taken = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    return taken
