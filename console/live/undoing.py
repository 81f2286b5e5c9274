"""What can be done after a run has ended: repeat a failed one, undo a reversible one, if the images still allow it."""

from collections.abc import Mapping, Sequence

from catalog.records import Image
from console.live.jobs import Job
from console.look.language import Words
from console.pages.actions import allowed
from flows.registry import OPERATIONS

BACK: Mapping[str, str] = {
    "delete_image": "recover_image",
    "recover_image": "delete_image",
    "enable_image": "disable_image",
    "disable_image": "enable_image",
}
"""Operation → the one that undoes it completely."""


def undo_of(job: Job, images: Sequence[Image], t: Words) -> dict[str, object]:
    """Return the address that undoes a successful run, and the button's text; nothing if it can't be undone."""
    back = BACK.get(job.operation)
    if back is None or not images or not all(allowed(image, OPERATIONS[back].transition) for image in images):
        return {}
    return {"undo": f"/api/runs/{job.id}/undo", "undo_title": t(OPERATIONS[back].title)}


def again_of(job: Job, images: Sequence[Image]) -> str:
    """Return the address that repeats a failed run: an add resumes its image, which keeps the bytes received."""
    if not OPERATIONS[job.operation].adds:
        return f"/api/runs/{job.id}/again"
    failed = [image for image in images if image.status == "Error"]
    return f"/api/retry/{failed[0].id}" if failed else ""
