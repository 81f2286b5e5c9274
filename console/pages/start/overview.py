"""The start page's summary of the catalog, limited to what the visitor may see."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from catalog.errors import ImageNotFound, RecordUnreadable
from catalog.records import Event, Figures, ImageStatus, StorageFigures
from catalog.rules.accounts.sharing import ADMIN
from console.look.language import Said
from console.pages.image_lists import image_rows
from console.pages.rows import Meter, Row, left_to, used
from console.pages.start.picture import Picture, picture_of
from console.pages.tabs import View
from console.visibility import Visibility

FAILED = 8
WEEK = timedelta(days=7)
LOOKED_AT, SHOWN = 3000, 12
"""Entries of the log read for recent changes, and those shown."""
NEAR_FULL_PERCENT = 85.0
LONG_UNPROVEN = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Concern:
    """A matter that needs action. link: where to act."""

    sentence: str
    advice: str
    link: str


@dataclass(frozen=True, slots=True)
class Proofs:
    """The proofs of a storage's images. oldest: time of the oldest last proof; late: it is too long ago."""

    storage: str
    replicas: int
    unproven: int
    oldest: datetime | None
    late: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """The start page.

    counts: images by status; failed: lines of images; kinds: number of this week's events by kind; unreadable:
    sentences for administrators.
    """

    counts: dict[str, int]
    picture: Picture | None
    failed: tuple[Row, ...]
    concerns: tuple[Concern, ...]
    proofs: tuple[Proofs, ...]
    room: tuple[tuple[str, Meter, bool], ...]
    kinds: tuple[tuple[str, int], ...]
    changes: tuple[tuple[Event, str], ...]
    whole_week: bool
    unreadable: tuple[str, ...] = ()


def overview_of(view: View) -> Overview:
    """Return the overview. Administrators see the figures of all accounts, others only their own."""
    visibility = view.visibility
    figures = view.catalog.figures() if visibility.account == ADMIN else None
    changes, whole = _changes(visibility)
    unreadable: dict[str, None] = {}
    named = tuple((event, _name(visibility, event, unreadable)) for event in changes[:SHOWN])
    return Overview(
        _counts(visibility, figures),
        picture_of(figures, None if figures else view.catalog.usage(visibility.account)),
        tuple(_failed(view)),
        tuple(_concerns(figures)) if figures else (),
        tuple(_proofs(figures)) if figures else (),
        tuple(_room(view)),
        _kinds(changes),
        named,
        whole,
        tuple(unreadable) if figures else (),
    )


def _counts(visibility: Visibility, figures: Figures | None) -> dict[str, int]:
    if figures is not None:
        return {counts.name: counts.count for counts in figures.images}
    usage = visibility.catalog.usage(visibility.account)
    return {"": usage.images - usage.binned_images, ImageStatus.DELETED.value: usage.binned_images}


def _failed(view: View) -> Iterator[Row]:
    found = view.catalog.images(status=ImageStatus.ERROR.value, account=view.visibility.account, limit=FAILED)
    for row in image_rows(view.visibility, view.uploads, filter(view.visibility.sees, found)):
        yield left_to(view.visibility.who, row)


def _concerns(figures: Figures) -> Iterator[Concern]:
    yield from _damaged(figures)
    for host in figures.hosts:
        if host.state == "Silent":
            sentence = Said("Host {name} gives no sign of life", name=host.name)
            yield Concern(sentence, "Start its worker; what only it can read waits for it.", "/readyz")
    for thing in figures.things:
        if thing.name in ADVICE and thing.count:
            counted, advice, link = ADVICE[thing.name]
            yield Concern(Said(counted, count=thing.count), advice, link)


def _damaged(figures: Figures) -> Iterator[Concern]:
    for storage in figures.storages:
        if storage.status == "Damaged":
            sentence = Said(
                "{storage}: {count} images are damaged", storage=storage.image_storage, count=storage.replicas
            )
            yield Concern(sentence, "Verify it with repair, from another storage that holds them.", "/?tab=storages")
    for told in figures.deliveries:
        if told.status == "Failed":
            sentence = Said(
                "Webhook {name}: {count} events were not delivered", name=told.webhook, count=told.deliveries
            )
            yield Concern(sentence, "See why with imagewright deliveries, and correct its address.", "/api/v1/docs")


ADVICE = {
    "leftovers": ("{count} leftovers take room", "Look whether the moved images are whole, then clean up.", "/?tab=leftovers"),
    "deferred work": ("{count} pieces of work wait for a storage", "They are done by themselves when it is back.", "/?tab=storages"),
}  # fmt: skip


def _proofs(figures: Figures) -> Iterator[Proofs]:
    for storage in figures.storages:
        if storage.status == "Ready":
            yield Proofs(
                storage.image_storage,
                storage.replicas,
                storage.unverified,
                storage.first_verified_at,
                _late(figures, storage),
            )


def _late(figures: Figures, storage: StorageFigures) -> bool:
    since = storage.first_landed_at if storage.unverified else storage.first_verified_at
    return since is not None and figures.at - since > LONG_UNPROVEN


def _room(view: View) -> Iterator[tuple[str, Meter, bool]]:
    for storage in view.catalog.image_storages():
        meter = used(view.usage.image_storage(storage))
        yield storage.name, meter, (meter.percent or 0) >= NEAR_FULL_PERCENT


def _changes(visibility: Visibility) -> tuple[list[Event], bool]:
    """Return this week's changes, newest first, and whether these are all."""
    catalog = visibility.catalog
    last, begun = catalog.snapshot().sequence, catalog.snapshot(catalog.now() - WEEK).sequence
    since = max(begun, last - LOOKED_AT)
    seen = [e for e in catalog.events(since=since) if visibility.of(e.image_id) and _tells(e)]
    return seen[::-1], since == begun


def _tells(event: Event) -> bool:
    """Tell whether an entry is about an image or a setting, not about deferred work or sign-ins."""
    return event.kind.split(".")[1] in ("image", "replica", "volume", "family", "image_storage", "leftover")


def _kinds(changes: list[Event]) -> tuple[tuple[str, int], ...]:
    counts: dict[str, int] = {}
    for event in changes:
        counts[event.kind] = counts.get(event.kind, 0) + 1
    return tuple(sorted(counts.items(), key=lambda one: -one[1]))


def _name(visibility: Visibility, event: Event, unreadable: dict[str, None]) -> str:
    """Return the name of an entry's subject; an unreadable record is noted, and the page is shown all the same."""
    if event.image_id is None:
        return event.subject.partition(":")[2]
    try:
        return visibility.image(event.image_id).name
    except RecordUnreadable as error:
        unreadable[str(error)] = None
    except ImageNotFound:
        pass
    return f"{event.image_id[:8]}…"
