"""What adding an image would do, and whether it could."""

from catalog.records import Action, Image, Plan
from storage.protocols import ImageStorage
from storage.sources.upload_rights import check_upload
from tasks.add.register import check_places
from tasks.runtime.resources import open_image_source, open_image_storage, open_resources
from tasks.runtime.retries import once
from tasks.runtime.task import task
from tasks.runtime.uploads import open_uploads


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
