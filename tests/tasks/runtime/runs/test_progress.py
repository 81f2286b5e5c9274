"""Progress that people see moves at least once a second, and never backwards."""

import contextlib
import time
from itertools import pairwise
from threading import Thread
from uuid import UUID

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas import filters

from tasks.runtime.runs.progress import Meter, progress, tell

pytestmark = pytest.mark.prefect


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Note when the server was told which percentage."""
    noted: list[tuple[float, float]] = []

    def note(artifact: UUID, meter: Meter, what: str) -> None:
        noted.append((time.monotonic(), meter.percent))
        tell(artifact, meter, what)

    monkeypatch.setattr("tasks.runtime.runs.progress.tell", note)
    return noted


def test_what_calls_nobody_is_followed(shown: list[tuple[float, float]]) -> None:
    read = 0

    def restore() -> None:
        nonlocal read
        for _ in range(40):
            time.sleep(0.1)
            read += 25

    with progress("a-restore", "read what was kept") as meter:
        began = time.monotonic()
        thread = Thread(target=restore)
        with meter.following(lambda: read, 1000):
            thread.start()
            thread.join()
    moments = [began, *(at for at, _ in shown)]
    assert len(shown) >= 4
    assert max(b - a for a, b in pairwise(moments)) < 2.5  # 1 s, on a busy machine
    assert [percent for _, percent in shown] == sorted(percent for _, percent in shown)
    assert shown[-1][1] == 100


def test_work_that_is_done_again_in_a_run_goes_on_where_its_artifact_is(
    shown: list[tuple[float, float]],
) -> None:
    @flow
    def dies_and_goes_on() -> None:
        for end in (60, 100):
            with contextlib.suppress(ConnectionError), progress("dies-and-goes-on", "add x") as meter:
                for done in range(0, end + 1, 5):
                    meter(done, 100)
                    time.sleep(0.1)
                if end < 100:
                    raise ConnectionError

    dies_and_goes_on()
    percents = [percent for _, percent in shown]
    assert (percents, percents[-1]) == (sorted(percents), 100)
    assert 60 in percents
    key = filters.ArtifactFilterKey(any_=["dies-and-goes-on"])
    with get_client(sync_client=True) as client:
        (artifact,) = client.read_artifacts(artifact_filter=filters.ArtifactFilter(key=key))
    assert artifact.data == 100
    dies_and_goes_on()
    assert shown[len(percents)][1] < 60, "another run begins anew"


def test_a_source_that_grew_while_it_was_read_turns_nothing_back() -> None:
    meter, seen = Meter(), []
    for done, total in ((0, 100), (90, 100), (0, 300), (150, 300), (299, 300), (300, 300)):
        meter(done, total)
        seen.append(meter.percent)
    assert seen == sorted(seen)
    assert seen[-1] == 100


def test_an_unknown_size_shows_bytes_and_no_percentage() -> None:
    meter = Meter()
    meter(5 << 20, None)
    assert meter.percent == 0
    assert meter.sentence("add x").startswith("add x: 5 MiB, ")
