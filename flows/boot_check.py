"""Try whether an image boots as it was declared."""

from prefect import flow

from catalog.records import BootCheckReport
from flows.naming import named
from flows.requests import BootCheck
from tasks.boot_check import boot_check as boot
from tasks.find_image import find_image


@flow(name="boot-check", flow_run_name=named("boot {image_id}"))
def boot_check(request: BootCheck) -> BootCheckReport:
    """Boot an image under QEMU in its declared mode, from a copy, and keep the screen; an image that fails is not changed.

    Raises ImageNotFound, IllegalTransition, InvalidRequest, MissingProgram, DigestMismatch.
    """
    return boot(find_image(request.image_id, request.account), request.account, request.timeout_s)
