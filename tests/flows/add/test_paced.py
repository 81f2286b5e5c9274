"""Two adds at once, each a command of its own, bring into one storage no more than its cap; both end Ready."""

import contextvars
import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterType

from catalog import open_catalog
from catalog.records import ImageStatus
from tests.services.faulty_http import Faults, faulty_http
from tests.services.prefect import COMMAND
from tests.storage.transfer.test_bandwidth import CAP, MIB, MOST, WARM, WINDOW_S, capped, most_in_a_window, watch

__all__ = ["capped"]
pytestmark = pytest.mark.prefect
SIZE = 48 * MIB  # one may begin 4 s before the other
SHOWN_EVERY_S = 1.5  # once a second, on a busy machine


@contextmanager
def adding(name: str, url: str, api: str, said: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [str(COMMAND), "add-volume-image", "--name", name, "--image-format", "raw", "--image-path", url]
    environment = {**os.environ, "PREFECT_API_URL": api}
    with said.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            yield process
            assert process.wait(90) == 0, said.read_text()
        finally:
            process.kill()
            process.wait()


@contextmanager
def progress_of_adds() -> Iterator[dict[str, list[tuple[float, float]]]]:
    """Yield when each progress artifact changed, and to which percentage; complete when the block has ended."""
    changes: dict[str, list[tuple[float, float]]] = {}
    ended = threading.Event()

    def look() -> None:
        wanted = ArtifactFilter(type=ArtifactFilterType(any_=["progress"]))
        with get_client(sync_client=True) as client:
            while not ended.wait(0.2):
                for artifact in client.read_artifacts(artifact_filter=wanted):
                    seen = changes.setdefault(str(artifact.key), [])
                    if not seen or seen[-1][1] != artifact.data:
                        seen.append((time.monotonic(), float(str(artifact.data))))

    looking = threading.Thread(target=contextvars.copy_context().run, args=(look,))
    looking.start()
    try:
        yield changes
    finally:
        ended.set()
        looking.join()


def test_two_adds_at_once_stay_under_the_cap_of_their_storage(
    capped: Path, tmp_path: Path, prefect_server: str
) -> None:
    contents = {name: os.urandom(SIZE) for name in ("one", "other")}
    with faulty_http() as one, faulty_http() as other:
        servers = {"one": one, "other": other}
        urls = {name: servers[name].serve("/image", Faults(content=body)) for name, body in contents.items()}
        with (
            progress_of_adds() as shown,
            adding("one", urls["one"], prefect_server, tmp_path / "one.log") as first,
            adding("other", urls["other"], prefect_server, tmp_path / "other.log") as second,
        ):
            samples = watch((one, other), lambda: first.poll() is None or second.poll() is None)
        assert one.body_bytes + other.body_bytes <= 2 * (SIZE + MIB), "nothing is fetched twice"
    together = [at for at, sent in samples if min(sent) > WARM and max(sent) < SIZE - MIB]
    assert together, "nothing held them back"
    assert together[-1] - together[0] > WINDOW_S, "they did not run side by side"
    assert 0.7 * CAP * WINDOW_S <= most_in_a_window(samples) <= MOST
    with open_catalog() as catalog:
        added = {image.name: image for image in catalog.images()}
    assert {image.status for image in added.values()} == {ImageStatus.READY}
    assert {name: image.md5 for name, image in added.items()} == {
        name: hashlib.md5(body).hexdigest() for name, body in contents.items()
    }
    for image in added.values():
        moments, percents = zip(*shown[f"add-{image.id}"], strict=True)
        assert list(percents) == sorted(percents), "never backwards"
        assert moments[-1] - moments[0] < SHOWN_EVERY_S * (len(moments) - 1), "it is shown all the while"
