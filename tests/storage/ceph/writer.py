"""A process that begins landing "a", writes to it, says how much, and waits to be killed: writer.py URL FILE BYTES."""

import sys
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from catalog.records import ImageStorage
from catalog.settings import Settings
from storage.ceph import CephStorage
from storage.protocols import SourceInfo

BLOCK = 1 << 20


def main(url: str, file: str, stop_at: int) -> None:
    data = memoryview(Path(file).read_bytes())
    record = ImageStorage(name="ceph", kind="ceph", url=url, created_at=datetime.now(UTC))
    landing = CephStorage(record, Settings()).landing("a")
    landing.begin(SourceInfo(url="http://source/image", size_bytes=len(data)))
    for start in range(0, stop_at, BLOCK):
        landing.write(data[start : start + BLOCK])
    print(stop_at, flush=True)
    time.sleep(60)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
