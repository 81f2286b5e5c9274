"""What adding an image would do, and whether it could."""

from prefect import task

from catalog.records import Action, Image, Plan
from tasks.register import check_places
from tasks.resources import open_image_source, open_image_storage, open_resources
from tasks.retries import retrying


@task(task_run_name="plan add of {draft.name}", **retrying())
def plan_add(draft: Image, url: str, credentials: str | None = None) -> Plan:
    """Return what would be fetched, from where, to which storages, and the room there is. Changes nothing."""
    actions = []
    with open_resources() as (settings, catalog):
        check_places(catalog, draft)
        info = open_image_source(url, credentials, settings).probe()
        for name in draft.image_storages:
            storage = open_image_storage(catalog.image_storage(name), settings)
            stored = storage.stored_format(draft.format)
            room = storage.capacity().available_bytes
            reason = f"kept as {stored}; {room} bytes are free after the reserve"
            if info.size_bytes is not None and info.size_bytes > room:
                reason += ": too few unless chips are already there"
            actions.append(
                Action(
                    verb="land", subject=f"image_storage:{name}", bytes=info.size_bytes or 0, reason=reason
                )
            )
    size = "unknown" if info.size_bytes is None else f"{info.size_bytes} bytes"
    return Plan(
        operation="add image",
        actions=tuple(actions),
        bytes_to_move=info.size_bytes or 0,
        summary=f"fetch {info.url} ({size}) once and keep it on {', '.join(draft.image_storages)}",
    )


def check_draft(draft: Image, size_bytes: int) -> None:
    """Raise what an add of so many bytes would fail with before the first of them moves; nothing is kept.

    Raises StorageNotFound, InvalidRequest, QuotaExceeded, CapacityExceeded.
    """
    subject = f"upload:{draft.id}"
    with open_resources() as (settings, catalog):
        check_places(catalog, draft)
        storages = {name: catalog.image_storage(name) for name in draft.image_storages}
        available = {
            name: open_image_storage(record, settings).capacity().available_bytes
            for name, record in storages.items()
        }
        with catalog.changing(actor=draft.owner) as change:
            change.reserve(
                subject=subject, account=draft.owner, storages=tuple(available), size_bytes=size_bytes, available=available
            )  # fmt: skip
            change.release(subject)
