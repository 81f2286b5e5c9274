"""An add to a Ceph pool whose worker dies in the middle of the bytes: another one, with a scratch of its own, takes the rest only."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from filecmp import cmp
from pathlib import Path
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from catalog.settings import load_settings
from console.transfers.upload_routes import UploadRoutes
from tests.console.operators import as_operators
from tests.console.tus import creation, piece
from tests.flows.ceph import register_pool
from tests.flows.managed import opened
from tests.services.faulty_http import Faults, faulty_http
from tests.services.payload import random_bytes
from tests.services.prefect import COMMAND
from tests.services.process import find

pytestmark = [pytest.mark.prefect, pytest.mark.xdist_group("ceph")]
MIB = 1 << 20
SLOW = str(24 * MIB)  # bytes a second
AT_RISK = 32 * MIB  # what a killed process had on the way, and sockets of both sides

SIZE = 112 * MIB

Sent = Callable[[], int]


@pytest.fixture(autouse=True)
def pool(
    home: Path, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # a home is what it is registered in
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    register_pool(monkeypatch)


@contextmanager
def served(file: Path) -> Iterator[tuple[str, Sent]]:
    """Serve a file by http; yield its URL, and a count of the bytes sent."""
    with faulty_http() as server:
        yield server.serve("/image", Faults(content=file.read_bytes())), lambda: server.body_bytes


@contextmanager
def uploaded(file: Path) -> Iterator[tuple[str, Sent]]:
    """Send a file to the console in two connections; yield its URL."""
    with TestClient(as_operators(UploadRoutes(load_settings()).routes())) as client:
        size = file.stat().st_size
        place = client.post("/uploads", headers=creation(size, image_format="qcow2")).headers["Location"]
        with file.open("rb") as opened_file:
            for start, end in ((0, size // 2), (size // 2, size - 1)):
                part = opened_file.read(end - start)
                assert client.patch(place, content=part, headers=piece(start)).status_code == 204
            last = opened_file.read()
    upload_id = place.rpartition("/")[2]
    with (load_settings().uploads_folder / upload_id / "data").open("ab") as kept:
        kept.write(last)  # the last byte would start a run of a deployment
    yield f"upload://{upload_id}", lambda: 0


def command(image_id: str, url: str, image_format: str) -> list[str | Path]:
    return [
        COMMAND, "add-volume-image", "--name", "cut", "--image-format", image_format, "--image-path", url,
        "--image-id", image_id, "--image-storages", "ceph", "--json",
    ]  # fmt: skip


def worker(scratch: Path, **settings: str) -> dict[str, str]:
    """Return the environment of a worker with a scratch folder of its own."""
    scratch.mkdir()
    return {
        **os.environ,
        "IMAGEWRIGHT_SCRATCH": str(scratch),
        "IMAGEWRIGHT_PARALLEL_RANGES": "1",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",
        **settings,
    }


def kill_in_the_middle(words: list[str | Path], environment: dict[str, str]) -> int:
    """Run an add, kill it once a third of the file is kept, and return how much that was."""
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        end, kept = time.monotonic() + 60, 0
        while kept < SIZE // 3:
            assert time.monotonic() < end
            assert first.poll() is None, "it ended too early"
            kept = sum(landing.kept_bytes for landing in opened("ceph").landings())
            time.sleep(0.05)
        first.kill()
    return kept


@pytest.mark.parametrize(
    ("by", "image_format"), [(served, "raw"), pytest.param(uploaded, "qcow2", marks=pytest.mark.long)]
)
def test_another_worker_takes_the_rest_only(
    by: Callable[[Path], AbstractContextManager[tuple[str, Sent]]], image_format: str, tmp_path: Path
) -> None:
    content = source = tmp_path / "content.raw"
    with content.open("wb") as file:
        for seed in range(12):
            file.write(random_bytes(8 * MIB, seed))
        file.truncate(SIZE)
    if image_format == "qcow2":
        qemu_img, made = find("qemu-img", "qemu-utils"), tmp_path / "content.qcow2"
        subprocess.run([qemu_img, "convert", "-f", "raw", "-O", "qcow2", source, made], check=True)
        source = made
    with by(source) as (url, sent):
        words = command(str(uuid4()), url, image_format)
        kept = kill_in_the_middle(words, worker(tmp_path / "one", IMAGEWRIGHT_BANDWIDTH_BYTES_S=SLOW))
        second = subprocess.run(words, env=worker(tmp_path / "two"), capture_output=True, text=True, check=False)
        assert second.returncode == 0, second.stderr[-2000:]
        (began,) = re.findall(r"resuming at byte (\d+)", second.stderr)
        assert int(began) >= kept - AT_RISK
        assert sent() <= source.stat().st_size + AT_RISK
    image_id = json.loads(second.stdout)["id"]
    opened("ceph").export(image_id, tmp_path / "out", lambda _done, _total: None)
    assert cmp(tmp_path / "out", content, shallow=False)
    assert list(opened("ceph").landings()) == []
