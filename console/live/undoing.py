"""What can be done next with a run that ended: again what failed, back what has a way back, where the images still allow it."""

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
"""Operation → the one that takes back all that it did."""


def undo_of(job: Job, images: Sequence[Image], t: Words) -> dict[str, object]:
    """Return where a run that ended well is taken back, and what the button says; nothing where there is no way back."""
    back = BACK.get(job.operation)
    if back is None or not images or not all(allowed(image, OPERATIONS[back].transition) for image in images):
        return {}
    return {"undo": f"/api/runs/{job.id}/undo", "undo_title": t(OPERATIONS[back].title)}


def again_of(job: Job, images: Sequence[Image]) -> str:
    """Return where a run that failed is begun again: an add goes on with its image, which keeps what came."""
    if not OPERATIONS[job.operation].adds:
        return f"/api/runs/{job.id}/again"
    failed = [image for image in images if image.status == "Error"]
    return f"/api/retry/{failed[0].id}" if failed else ""
