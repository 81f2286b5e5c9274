"""The stream of news: what is told, to whom, how little when nothing happens, and how it ends."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from catalog import open_catalog
from catalog.records import Image
from tests.catalog.samples import an_image
from tests.console.api.v1.people import AUTH, PASSWORD
from tests.console.served import served
from tests.services.signed import basic

LIMIT_S = 60.0


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nobody_serves: None) -> Iterator[int]:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path))
    with served() as port:
        yield port


def saved(**facts: object) -> Image:
    image = an_image(**facts)
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image(image)
    return image


Frames = Iterator[tuple[str, object]]


@contextmanager
def listening(port: int, headers: dict[str, str]) -> Iterator[Frames]:
    address = f"http://127.0.0.1:{port}/live"
    with httpx.stream("GET", address, headers=headers, timeout=LIMIT_S) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        frames = read(answer)
        assert [next(frames), next(frames)] == [("hello", {}), ("runs", [])]
        yield frames


def read(answer: httpx.Response) -> Frames:
    name = ""
    for line in answer.iter_lines():
        key, _, value = line.partition(": ")
        if key == "event":
            name = value
        if key == "data":
            yield name, json.loads(value)


def signed_in(port: int, name: str) -> dict[str, str]:
    """Return the headers of a person's browser."""
    answer = httpx.post(
        f"http://127.0.0.1:{port}/login", json={"name": name, "password": PASSWORD}, headers={"X-Imagewright": "1"}
    )
    assert answer.status_code == 204, answer.text
    return {"Cookie": "; ".join(f"{key}={value}" for key, value in answer.cookies.items())}


def people() -> None:
    from catalog.repository.identities import registering

    with open_catalog() as catalog:
        for name, account, role in (("root", "admin", "admin"), ("ann", "team", "user"), ("otto", "others", "user")):
            registering.add(catalog, "admin", name, account, role=role, password=PASSWORD)  # type: ignore[arg-type]


def test_a_change_is_told_by_the_image_it_is_about(port: int) -> None:
    with listening(port, basic(AUTH)) as frames:
        image = saved(name="new")
        assert next(frames) == ("changed", {"images": [image.id]})


def test_nobody_hears_of_what_they_may_not_see(port: int) -> None:
    people()
    with ExitStack() as stack:
        ann = stack.enter_context(listening(port, signed_in(port, "ann")))
        otto = stack.enter_context(listening(port, signed_in(port, "otto")))
        saved(name="of others", owner="others")
        own = saved(name="of team", owner="team")
        assert next(ann) == ("changed", {"images": [own.id]})
        kind, told = next(otto)
        assert (kind, own.id in json.dumps(told)) == ("changed", False)


def test_one_who_saw_an_image_hears_that_it_is_gone(port: int) -> None:
    people()
    image = saved(name="short-lived", owner="team")
    with listening(port, signed_in(port, "ann")) as ann, open_catalog() as catalog:
        with catalog.changing(actor="admin") as change:
            change.remove_image(image.id)
        assert next(ann) == ("changed", {"images": [image.id]})


def test_it_asks_who_comes_as_every_page_does(port: int) -> None:
    address = f"http://127.0.0.1:{port}/live"
    assert httpx.get(address).status_code == 401
    assert httpx.get(address, headers={"Host": "evil.example"}).status_code == 421
    people()
    page = {"Accept": "text/event-stream", "Sec-Fetch-Mode": "cors"}
    assert httpx.get(address, headers=page).status_code == 401


def test_a_server_that_ends_waits_for_no_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nobody_serves: None
) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_HOME", str(tmp_path))
    with served() as port:
        stack = ExitStack()
        frames = stack.enter_context(listening(port, basic(AUTH)))
        begun = time.monotonic()
    assert time.monotonic() - begun < 25  # `served` waits for 30 s
    with pytest.raises((StopIteration, httpx.RemoteProtocolError)):
        next(frames)
    stack.close()


def share_of_a_core(within_s: float) -> float:
    """Return how much of a processor this process takes meanwhile."""
    before, begun = sum(os.times()[:2]), time.monotonic()
    time.sleep(within_s)
    return (sum(os.times()[:2]) - before) / (time.monotonic() - begun)


def test_fifty_idle_pages_cost_next_to_nothing(port: int) -> None:
    """One watcher serves them all: at most a twentieth of a core, and a kilobyte a second for all of them together."""
    with ExitStack() as stack:
        answers = [
            stack.enter_context(
                httpx.stream("GET", f"http://127.0.0.1:{port}/live", headers=basic(AUTH), timeout=LIMIT_S)
            )
            for _ in range(50)
        ]
        streams = [read(answer) for answer in answers]
        for frames in streams:
            assert [next(frames)[0], next(frames)[0]] == ["hello", "runs"]
        heard = [answer.num_bytes_downloaded for answer in answers]
        took = min(share_of_a_core(2) for _ in range(4))  # at first it is still busy with their beginning
        image = saved(name="heard by all")
        assert all(next(frames) == ("changed", {"images": [image.id]}) for frames in streams)
        told = [answer.num_bytes_downloaded - was for answer, was in zip(answers, heard, strict=True)]
    assert took < 0.05, took
    assert max(told) < 1024
