"""Put an image into the catalog before anything else happens to it: from here on it is never lost sight of."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect import task

from catalog.errors import ImageNotFound, InvalidRequest
from catalog.records import Image, ImageStatus
from catalog.rules.sharing import visible
from catalog.rules.sources import REMOTE, check_source, scheme_of
from catalog.rules.transitions import status_after
from storage.sources.masking import split_urls
from tasks.resources import open_resources, run_id
from tasks.room import subject_of

if TYPE_CHECKING:
    from catalog.reading import Reading

ASKED = (
    "name", "description", "image_type", "format", "cpu_architecture", "platform", "os", "virtio", "bios_mode",
    "enable_csm", "elastic_baremetal", "source", "expected_checksum", "owner",
)  # fmt: skip
"""What a repeated add must ask for again to be the same add."""
ADDING = "imagewright.image.adding"


@task(task_run_name="register {draft.name}")
def register(draft: Image) -> Image:
    """Add the image as Downloading, or take up an add that broke off; a Ready one comes back as it is.

    Raises InvalidRequest if the id belongs to an image that was added otherwise, StorageNotFound, QuotaExceeded, IllegalTransition.
    """
    with open_resources() as (_, catalog), catalog.changing(actor=draft.owner, run_id=run_id()) as change:
        check_places(change, draft)
        try:
            known = change.image(draft.id)
        except ImageNotFound:
            change.reserve(subject=subject_of(draft.id), account=draft.owner, storages=draft.image_storages)
            return change.save_image(_downloading(draft), event=ADDING)
        _require_visible(change, known, draft.owner)
        _same(_as_asked(change, known), draft)
        if known.status is ImageStatus.READY:
            return known
        if known.status is ImageStatus.DELETED:
            raise InvalidRequest(
                "image_id", draft.id, "an id that is not in the recycle bin; recover that image instead"
            )
        status_after(known, "download")
        change.reserve(subject=subject_of(draft.id), account=draft.owner, storages=draft.image_storages)
        resumed = known.model_copy(update={"error": None, "image_storages": draft.image_storages})
        return change.save_image(_downloading(resumed), event="imagewright.image.resumed")


def check_places(catalog: "Reading", draft: Image) -> None:
    """Raise StorageNotFound, or InvalidRequest where a storage can't take an image from such an address."""
    kinds = {name: catalog.image_storage(name).kind for name in draft.image_storages}
    for url in split_urls(draft.source):
        if scheme_of(url) in (*REMOTE, "file", "upload"):  # others are forbidden by the source itself
            check_source(url, kinds)


def _downloading(image: Image) -> Image:
    return image.model_copy(update={"status": ImageStatus.DOWNLOADING, "updated_at": datetime.now(UTC)})


def _require_visible(catalog: "Reading", known: Image, account: str) -> None:
    """Refuse an id that is taken without a word about an image that the account may not see."""
    if not visible(known, catalog.account(account)):
        raise InvalidRequest("image_id", known.id, "an id of its own: this one is taken")


def _as_asked(catalog: "Reading", known: Image) -> dict[str, object]:
    """Return the image's fields as they were when it was first added: it may have been edited while it arrived."""
    added = [event.after for event in catalog.events(known.id) if event.kind == ADDING and event.after]
    return added[-1] if added else known.model_dump(mode="json")  # an id may be added again after its expunge


def _same(asked: dict[str, object], draft: Image) -> None:
    wanted = draft.model_dump(mode="json")
    for field in ASKED:
        before, now = asked.get(field), wanted[field]
        if before != now:
            raise InvalidRequest(
                "image_id",
                draft.id,
                f"an id of its own: that image was added with {field} {before!r}, not {now!r}",
            )
