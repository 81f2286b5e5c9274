"""A scheduled clean-up waits for a person: a real server, a real worker, answers as the Prefect UI sends them."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from catalog.records import Leftover
from tests.flows.moving import World, noise
from tests.services.prefect import PrefectServer, prefect_server, worker


@pytest.fixture
def world(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path / "stores", monkeypatch)
    for name in ("a", "b"):
        made.store(name)
    return made


@pytest.fixture
def server(world: World, home: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[PrefectServer]:
    cache = request.config.cache.mkdir("prefect")
    settings = {"IMAGEWRIGHT_HOME": str(home)}
    with ExitStack() as stack:
        running = stack.enter_context(prefect_server(tmp_path / "server", cache, settings))
        stack.enter_context(worker(running, tmp_path / "worker"))
        yield running


def leftovers(world: World) -> list[Leftover]:
    with world.catalog() as catalog:
        return list(catalog.leftovers())


def two_leftovers(world: World) -> None:
    """Put two images on b whose raw data is still on a."""
    for seed in (1, 2):
        data = noise(60_000, seed)
        image = world.add(world.open_store("b"), data)
        world.open_store("a")
        replica = world.add_replica(world.open_store("a"), image, data)
        with world.catalog() as catalog, catalog.changing("admin") as change:
            change.remove_replica(image.id, "a")
            change.save_leftover(
                Leftover(
                    id=f"leftover-{seed}", image_id=image.id, image_storage="a", location=replica.location,
                    size_bytes=len(data), moved_to="b", created_at=replica.created_at,
                )
            )  # fmt: skip


def asked(server: PrefectServer) -> str:
    """Start a clean-up and wait until it asks."""
    run = server.start("clean-up-leftovers", {"image_storage": "a"})
    server.wait_for(run, "PAUSED")
    return run


def answer(server: PrefectServer, run: str, **fields: object) -> None:
    server.ask(f"flow_runs/{run}/resume", {"run_input": fields})
    server.wait_for(run, "COMPLETED")


@pytest.mark.long
def test_a_wrong_count_deletes_nothing_and_the_right_one_what_was_listed(world: World, server: PrefectServer) -> None:
    two_leftovers(world)
    answer(server, asked(server), decision="approve", typed_count=3)
    assert len(leftovers(world)) == 2
    run = asked(server)
    assert len(leftovers(world)) == 2
    answer(server, run, decision="approve", typed_count=2)
    assert leftovers(world) == []
    assert [image.image.id for image in world.open_store("a").images()] == []
    assert len(list(world.open_store("b").images())) == 2
