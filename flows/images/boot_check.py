"""Check that an image boots as declared."""

from catalog.records import BootCheckReport, BootPoint
from flows.operation import flow_of
from flows.requests import BootCheck
from tasks.images.boot_check import boot_check as boot
from tasks.images.changes import find_image
from tasks.images.enable import set_state
from tasks.runtime.batches import all_done


@flow_of(BootCheck)
def boot_check(request: BootCheck) -> BootCheckReport:
    """Boot an image under QEMU in its declared mode, from a copy, and keep the screen.

    An image that fails is not changed, unless the request says to disable it.
    Raises ImageNotFound, IllegalTransition, InvalidRequest, MissingProgram, DigestMismatch, AccessDenied.
    """
    image, disable = find_image(request.image_id, request.account), request.disable_on_failure
    point = BootPoint(until=request.until, command=request.command)
    report = boot(image, request.account, request.timeout_s, point, may_disable=disable)
    if disable and not report.booted:
        all_done("disable", set_state((image.id,), request.account, "Disabled"))
    return report
