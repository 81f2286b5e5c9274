"""Events: the table says what the code sends, each is sent from one line, and each arrives on a real Prefect server."""

import ast
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from catalog.log import events as names_of_events
from catalog.records import Image, ImageStatus, QualityReport
from deployments.definitions import ROOT
from flows.server.password import CLIENT
from tests.flows.managed import blank
from tests.flows.moving import NOW, World, in_one_run, noise
from tests.services.prefect import PrefectServer, prefect_server

PREFIX = "imagewright."
EVENTS = {name.removeprefix(PREFIX): says for name, says in names_of_events.TOLD.items()}
NAMES = {
    constant: name.removeprefix(PREFIX)
    for constant, name in vars(names_of_events).items()
    if constant.isupper() and isinstance(name, str)
}
DOCUMENTED = {
    "image.added", "image.ready", "image.failed", "image.exported", "image.synced", "image.moved", "image.deleted",
    "image.recovered", "image.expunged", "quality.failed", "replica.damaged", "replica.repaired",
}  # fmt: skip
"""Names that others rely on."""
LOGGED_ONLY = {
    "account.configured", "family.deleted", "family.set", "watch.deleted", "watch.set", "watch.signature", "image.adding", "image.adopted", "image.boot_checked", "image.cached", "image.damaged",
    "image.export_proven", "image.healed", "image.inspected", "image.move_ended", "image.moving", "image.provenance", "image.stayed",
    "image.uncached", "image.waiting", "image_storage.disabled", "image_storage.enabled",
    "leftover.cleaned", "leftover.reused", "replica.adopted", "replica.unmirrored", "replica.verified", "volume.created",
    "volume.deleted", "volume.detached", "webhook.deleted", "webhook.gone", "webhook.set",
}  # fmt: skip
"""Entries of the catalog's log that are steps or bookkeeping of an operation whose own event or report says it."""
MOST_S = 60.0


def sent() -> Counter[str]:
    """Count the lines that send each event."""
    found: Counter[str] = Counter()
    for folder in ("tasks", "flows", "console", "deployments"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"emit", "emit_of_catalog"}:
                    found.update(texts(node.args[0]))
    return found


def texts(node: ast.AST) -> list[str]:
    """Return the events that are named in a piece of code, without what stands in front of all."""
    return [
        NAMES[n.attr]
        for n in ast.walk(node)
        if isinstance(n, ast.Attribute)
        and isinstance(n.value, ast.Name)
        and n.value.id == "events"
        and n.attr.isupper()
    ]


def test_every_event_is_in_the_table_and_sent_from_one_line() -> None:
    assert sent() == Counter(dict.fromkeys(EVENTS, 1))
    assert set(EVENTS) >= DOCUMENTED


def test_the_readme_has_the_same_table() -> None:
    readme = (ROOT / "tasks" / "README.md").read_text()
    rows = re.findall(r"^\| `imagewright\.([\w.]+)` \| (.*?) \| `([\w./]+)` \|$", readme, re.MULTILINE)
    assert {name: says for name, says, _ in rows} == dict(EVENTS)
    for name, _, file in rows:
        assert name in {t for n in ast.walk(ast.parse((ROOT / file).read_text())) for t in texts(n)}, (
            name,
            file,
        )


def test_what_is_logged_is_sent_or_known_to_be_no_event() -> None:
    logged = set()
    for file in (ROOT / "tasks").rglob("*.py"):
        logged |= set(texts(ast.parse(file.read_text())))
    assert logged - set(EVENTS) == LOGGED_ONLY


def test_every_name_stands_in_one_place_and_is_used() -> None:
    files = [
        f for folder in ("catalog", "tasks", "flows", "console", "deployments") for f in (ROOT / folder).rglob("*.py")
    ]
    sources = {f: f.read_text() for f in files if f.name != "events.py" and "migrations" not in f.parts}
    spelled = re.compile(r'"imagewright\.(?:image|replica|leftover|volume|account|work|quality|image_storage)\.\w+"')
    assert [
        f.name
        for f, text in sources.items()
        if any(spelled.search(line.partition("#")[0]) for line in text.splitlines())
    ] == []
    used = {name for text in sources.values() for name in texts(ast.parse(text))}
    assert used == set(NAMES.values())


def test_nothing_sends_events_beside_the_one_place() -> None:
    files = [f for folder in ("tasks", "flows", "console") for f in (ROOT / folder).rglob("*.py")]
    assert [f.name for f in files if "emit_event" in f.read_text()] == ["notify.py"]


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[PrefectServer]:
    with prefect_server(tmp_path / "server", request.config.cache.mkdir("prefect"), {}) as running:
        yield running


@pytest.fixture
def world(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:  # its settings
    made = World(tmp_path / "stores", monkeypatch)
    for name in ("a", "b"):
        made.store(name)
    return made


def arriving(world: World) -> None:
    """added, resumed, failed, cancelled, ready."""
    from tasks.add.failure import mark_failed, withdraw
    from tasks.add.publish import _tell_ready
    from tasks.add.register import register

    draft = blank(image_storages=("a",), source="http://example.org/x")
    first = register.fn(draft)
    assert mark_failed(first, "it broke off", resumable=True).status is ImageStatus.ERROR
    register.fn(draft)
    assert withdraw(draft.id)
    _tell_ready(world.add(world.open_store("a"), noise(1000, 9)))


def managed(image: Image) -> None:
    """edited … expunged: what one person does with an image."""
    from tasks.images.delete import delete, recover
    from tasks.images.delete_export import delete_export
    from tasks.images.edit import edit
    from tasks.images.enable import set_state
    from tasks.images.export import export
    from tasks.images.expunge import expunge
    from tasks.images.share import share

    edit.fn(image.id, "admin", {"name": "new"})
    share.fn(image.id, "admin", "specified", ("bob",), ())
    set_state.fn([image.id], "admin", "Disabled")
    set_state.fn([image.id], "admin", "Enabled")
    export.fn(image.id, "admin", None, None)
    delete_export.fn(image.id, "admin", None, "raw")
    delete.fn([image.id], "admin")
    recover.fn([image.id], "admin")
    delete.fn([image.id], "admin")
    expunge.fn([image.id], "admin")


def moved(world: World, image: Image) -> None:
    """moved, move_failed."""
    from tasks.replicas.move import begin_move, check_move, copy_image, give_up_move, switch_storage
    from tasks.runtime.locks import image_lock

    with image_lock(image.id) as lease:
        move = check_move.fn(image.id, "a", "b", "admin")
        begin_move.fn(move, lease)
        give_up_move.fn(move, lease, "it was refused", resumable=False)
        begin_move.fn(move, lease)
        switch_storage.fn(move, copy_image.fn(move), lease)
    assert set(world.replicas(image.id)) == {"b"}


def judged(world: World, image: Image) -> None:
    """quarantined, damaged, repaired, quality.failed."""
    from flows.upkeep.check_quality import _show
    from tasks.replicas.repair import note_damage, note_repair
    from tasks.upkeep.check_quality import _quarantine

    with world.catalog() as catalog:
        _quarantine(catalog, image, "it holds a backing file")
        (replica,) = catalog.replicas(image.id)
        note_damage(catalog, replica, "a chip is not what it was")
        note_repair(catalog, replica, "from b")
    _show(QualityReport(suite="catalog", success=False, checked_at=NOW))


def promoted(world: World, image: Image) -> None:
    """promoted, rolled_back, recalled."""
    from tasks.promotion.family import set_family
    from tasks.promotion.promote import promote
    from tasks.promotion.recall import recall
    from tests.catalog.rules.promotion.builds import proven

    set_family.fn({"name": "debian"}, "admin")
    with world.catalog() as catalog, catalog.changing("admin") as change:
        change.save_image(proven(image))
    promote.fn(image.id, "debian", "it is new", "admin")
    recall.fn(image.id, "a hole", "admin", descendants=False)


def watched(world: World, image: Image) -> None:
    """new, refused."""
    from catalog.records import Look, WatchState
    from tasks.promotion.look import keep_new, look_at
    from tasks.promotion.watch import set_watch

    set_watch.fn({"name": "w", "family": "debian", "kind": "url", "url": "http://127.0.0.1:9/x"}, "admin")
    look_at.fn(["w"])
    keep_new.fn(Look(watch="w", state=WatchState(watch="w")), image)


def synced(world: World) -> list[Image]:
    """synced of each of two, sync_failed of one that the source does not hold."""
    from flows.replicas.sync import sync_images
    from flows.requests import SyncImages

    images = [world.add(world.open_store("a"), noise(50_000, seed)) for seed in (5, 6)]
    elsewhere = world.add(world.open_store("b"), noise(1000, 7))
    ids = tuple(image.id for image in (*images, elsewhere))
    sync_images(SyncImages(source="a", target="b", image_ids=ids))
    return [*images, elsewhere]


def test_each_event_arrives_on_a_real_server(world: World, server: PrefectServer) -> None:
    from prefect.events.worker import EventsWorker
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    images: list[Image] = []

    def everything() -> None:
        arriving(world)
        for seed, work in enumerate((lambda _, i: managed(i), moved, judged, promoted, watched), start=1):
            work(world, world.add(world.open_store("a"), noise(1000, seed)))
        images.extend(synced(world))

    EventsWorker.drain_all(timeout=5)  # else what other tests of this process began still speaks to their server
    with temporary_settings({PREFECT_API_URL: server.api, PREFECT_API_AUTH_STRING: server.environment[CLIENT]}):
        in_one_run(everything)
        *brought, elsewhere = images
        EventsWorker.instance().drain()
    arrived = until(lambda: events(server), lambda found: len(found) >= len(EVENTS) + 2)
    names = Counter(name for name, _ in arrived)
    assert set(names) == set(EVENTS)
    assert {i for n, i in arrived if n == "image.synced"} == {image.id for image in brought}
    assert {i for n, i in arrived if n == "image.sync_failed"} == {elsewhere.id}
    assert {n: count for n, count in names.items() if count > 1} == {"image.synced": 2, "image.deleted": 2}


def events(server: PrefectServer) -> list[tuple[str, str]]:
    """Return name and image of every event of ours that the server has."""
    asked = {"filter": {"event": {"prefix": ["imagewright."]}}, "limit": 50}
    found = server.record("events/filter", asked)["events"]
    assert isinstance(found, list)
    return [
        (e["event"].removeprefix("imagewright."), e["resource"]["prefect.resource.id"].rpartition(".")[2])
        for e in found
    ]


def until(
    ask: Callable[[], list[tuple[str, str]]], enough: Callable[[list[tuple[str, str]]], bool]
) -> list[tuple[str, str]]:
    """Ask until the answer will do, or the time is over; the server writes events in batches."""
    deadline = time.monotonic() + MOST_S
    while not enough(found := ask()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found
