"""Enable and disable images."""

from catalog.records import Image, Plan, State
from flows.operation import flow_of
from flows.requests import DisableImage, EnableImage
from tasks.images.enable import OPERATION, plan_state, set_state
from tasks.runtime.batches import all_done, in_batches


@flow_of(EnableImage)
def enable_image(request: EnableImage) -> tuple[Image, ...] | Plan:
    """Enable images. Idempotent. Raises after all are tried: SomeFailed, or the error of the only one."""
    return _set(request, "Enabled")


@flow_of(DisableImage)
def disable_image(request: DisableImage) -> tuple[Image, ...] | Plan:
    """Disable images: no new VM or volume is made from them, existing ones live on. Otherwise as `enable_image`."""
    return _set(request, "Disabled")


def _set(request: EnableImage | DisableImage, state: State) -> tuple[Image, ...] | Plan:
    if request.plan_only:
        return plan_state(request.image_ids, request.account, state)
    outcomes = in_batches(request.image_ids, lambda ids: set_state(ids, request.account, state))
    return all_done(OPERATION[state], outcomes)
