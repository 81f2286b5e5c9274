"""Put an image into the catalog before anything else happens to it: from here on the catalog keeps it. Or say what that would lead to."""

from collections.abc import Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING

from catalog.errors import ImageNotFound, ImagewrightError, InvalidRequest, Withdrawn
from catalog.log import events
from catalog.records import Action, Image, ImageStatus, Plan
from catalog.rules.images.transitions import status_after
from catalog.rules.storages.kinds import check_sources
from catalog.settings import Settings
from storage.protocols import ImageStorage
from storage.sources.masking import split_urls
from storage.sources.urls import check_spelling
from storage.uploads import url_of
from tasks.add.reservation import subject_of
from tasks.runtime.holders import run_id
from tasks.runtime.resources import (
    PLACEHOLDER,
    changing,
    known_image,
    open_image_source,
    open_image_storage,
    open_resources,
)
from tasks.runtime.retries import once, retrying
from tasks.runtime.runs.notify import emit
from tasks.runtime.task import task
from tasks.runtime.uploads import check_upload, open_uploads

if TYPE_CHECKING:
    from catalog.repository.change import Change
    from catalog.repository.reading.reading import Reading

ASKED = (
    "name", "description", "image_type", "format", "cpu_architecture", "platform", "os", "virtio", "bios_mode",
    "enable_csm", "elastic_baremetal", "source", "expected_checksum", "owner", "family", "build_version", "labels", "parent",
)  # fmt: skip
"""What a repeated add must ask for again to be the same add."""
UNSAID: Mapping[str, object] = {"family": None, "build_version": None, "labels": [], "parent": None}
"""What the log says nothing of where an image was asked for before there was such a field."""


@task(task_run_name="plan add of {draft.name}", **once("a person waits for the answer"))
def plan_add(draft: Image, url: str, credentials: str | None = None) -> Plan:
    """Return what would be fetched, from where, to which storages, and the room there is. Changes nothing."""
    with open_resources() as (settings, catalog):
        check_places(catalog, draft)
        check_upload(open_uploads(settings), draft)
        info = open_image_source(url, credentials, settings).probe()
        storages = [open_image_storage(catalog.image_storage(name), settings) for name in draft.image_storages]
        actions = tuple(_landing_on(storage, draft, info.size_bytes) for storage in storages)
    size = "unknown" if info.size_bytes is None else f"{info.size_bytes} bytes"
    return Plan(
        operation="add image",
        actions=actions,
        bytes_to_move=info.size_bytes or 0,
        summary=f"fetch {info.url} ({size}) once and keep it on {', '.join(draft.image_storages)}",
    )


def _landing_on(storage: ImageStorage, draft: Image, size_bytes: int | None) -> Action:
    room = storage.capacity().available_bytes
    reason = f"kept as {storage.stored_format(draft.format)}; {room} bytes are free after the reserve"
    if size_bytes is not None and size_bytes > room:
        reason += ": too few unless chips are already there"
    return Action(verb="land", subject=f"image_storage:{storage.name}", bytes=size_bytes or 0, reason=reason)


@task(task_run_name="register {draft.name}", **retrying())
def register(draft: Image) -> Image:
    """Add the image as Downloading, or take up an add that broke off; a Ready one comes back as it is.

    Raises InvalidRequest if the id belongs to an image that was added otherwise, StorageNotFound, UploadNotFound,
    QuotaExceeded, IllegalTransition.
    """
    with open_resources() as (settings, catalog):
        upload = _size_sent(settings, draft)
        with changing(catalog, draft.owner) as change:
            check_places(change, draft)
            known = known_image(change, draft.id)
            image, event = _taken_up(change, known, draft) if known else _begun(change, draft)
            if event:
                size = upload.result()  # of an upload, whose promise goes on; 0: not known yet
                places = draft.image_storages
                change.reserve(subject=subject_of(draft.id), account=draft.owner, storages=places, size_bytes=size)
                image = change.save_image(image, event=event)
    told = {"source": image.source, "image_storages": list(image.image_storages)}
    if known is None:
        emit(events.IMAGE_ADDED, image, **told)
    elif image.version > known.version:
        emit(events.IMAGE_RESUMED, image, **told)
    return image


def _size_sent(settings: Settings, draft: Image) -> "Future[int]":
    """Return what `check_upload` says, or raises, to be heard where it matters.

    A bucket may take minutes not to answer, and in a transaction everybody would wait for that.
    """
    told: Future[int] = Future()
    try:
        told.set_result(check_upload(open_uploads(settings), draft))
    except ImagewrightError as error:
        told.set_exception(error)
    return told


def _begun(change: "Change", draft: Image) -> tuple[Image, str]:
    """Return the new image, and the event. Raises Withdrawn if it was deleted while this run waited for something that was away."""
    if any(event.run_id and event.run_id == run_id() for event in change.events(draft.id)):
        raise Withdrawn(draft.id)
    new = {"created_at": change.now(), "status": ImageStatus.DOWNLOADING}
    return draft.model_copy(update=new), events.IMAGE_ADDING


def _taken_up(change: "Change", known: Image, draft: Image) -> tuple[Image, str]:
    """Return a Ready image as it is, without an event, any other as it goes on."""
    _require_visible(change, draft)
    corrected = _is_corrected(change, known, draft)
    if not corrected:
        _same(as_asked(change, known), draft)
    if known.status is ImageStatus.READY:
        return known, ""
    if known.status is ImageStatus.DELETED:
        raise InvalidRequest("image_id", draft.id, "an id that is not in the recycle bin; recover that image instead")
    status_after(known, "download")
    update = {field: getattr(draft, field) for field in (*ASKED, "media", "format_stored") if corrected}
    going_on = {"error": None, "image_storages": draft.image_storages, "status": ImageStatus.DOWNLOADING}
    return known.model_copy(update={**update, **going_on}), events.IMAGE_ADDING if corrected else events.IMAGE_RESUMED


def check_places(catalog: "Reading", draft: Image) -> None:
    """Raise what an add would fail with for its addresses or storages, before it is an image that failed.

    Raises StorageNotFound, SourceForbidden for an address that nobody could open, InvalidRequest for one that a storage can't
    take, and for a parent that its account does not see.
    """
    kinds = {name: catalog.image_storage(name).kind for name in draft.image_storages}
    urls = split_urls(draft.source)
    for url in urls:
        if PLACEHOLDER.search(url) is None:  # what a secret holds is not known here
            check_spelling(url)
    check_sources(urls, kinds)
    _check_parent(catalog, draft)


def _check_parent(catalog: "Reading", draft: Image) -> None:
    """Raise InvalidRequest where the image that it was made of is not one that its account sees."""
    if draft.parent is None:
        return
    try:
        catalog.image(draft.parent, account=draft.owner)
    except ImageNotFound as error:
        raise InvalidRequest("parent", draft.parent, "the id of another image that this account sees") from error


def _require_visible(catalog: "Reading", draft: Image) -> None:
    """Refuse an id that is taken without a word about an image that the account may not see."""
    try:
        catalog.image(draft.id, account=draft.owner)
    except ImageNotFound as error:
        raise InvalidRequest("image_id", draft.id, "an id of its own: this one is taken") from error


def _is_corrected(catalog: "Reading", known: Image, draft: Image) -> bool:
    """Tell whether a file that was sent is announced otherwise: nothing but its bytes was kept of the add that failed."""
    same = known.source == draft.source == url_of(draft.id) and known.owner == draft.owner
    return same and known.status is ImageStatus.ERROR and not any(True for _ in catalog.replicas(known.id))


def as_asked(catalog: "Reading", known: Image) -> dict[str, object]:
    """Return the image's fields as they were when it was last asked for: it may have been edited while it arrived."""
    found: dict[str, object] = {}
    at_last: dict[str, object] = {}
    for event in catalog.events(known.id):
        if event.subject == f"image:{known.id}" and event.after and not event.note:
            found = dict(event.after) if event.before is None else {**found, **event.after}
            at_last = dict(found) if event.kind == events.IMAGE_ADDING else at_last
    return at_last or known.model_dump(mode="json")


def _same(asked: dict[str, object], draft: Image) -> None:
    wanted, asked = draft.model_dump(mode="json"), {**UNSAID, **asked}
    for field in ASKED:
        before, now = asked.get(field), wanted[field]
        if before != now:
            raise InvalidRequest(
                "image_id",
                draft.id,
                f"an id of its own: that image was added with {field} {before!r}, not {now!r}",
            )
