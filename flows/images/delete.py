"""Delete images to the recycle bin, and recover them from it."""

from catalog.records import Image, Plan
from flows.operation import flow_of
from flows.requests import DeleteImage, RecoverImage
from tasks.images.delete import delete, expunged_at_once, plan_delete, plan_recover, recover
from tasks.images.expunge import expunge
from tasks.runtime.batches import all_done, in_batches


@flow_of(DeleteImage)
def delete_image(request: DeleteImage) -> tuple[Image, ...] | Plan:
    """Move images to the recycle bin; cancel one that is still arriving, and delete its bytes.

    Images of an account with the retention policy `direct` are expunged at once.
    Raises after all images are tried: SomeFailed, or the error of the only one.
    """
    if request.plan_only:
        return plan_delete(request.image_ids, request.account)
    outcomes = in_batches(request.image_ids, lambda ids: delete(ids, request.account))
    if direct := expunged_at_once(outcomes.done):  # an image that fails here stays in the bin, for the hourly purge
        in_batches(direct, lambda ids: expunge(ids, request.account))
    return all_done("delete image", outcomes)


@flow_of(RecoverImage)
def recover_image(request: RecoverImage) -> tuple[Image, ...] | Plan:
    """Recover images from the recycle bin, byte for byte as they were. Raises as `delete_image`."""
    if request.plan_only:
        return plan_recover(request.image_ids, request.account)
    outcomes = in_batches(request.image_ids, lambda ids: recover(ids, request.account))
    return all_done("recover image", outcomes)
