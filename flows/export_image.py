"""Export an image to a complete file."""

from prefect import flow

from catalog.records import ExportedImage, Plan
from flows.naming import named
from flows.requests import ExportImage
from tasks.export import export, plan_export
from tasks.find_image import find_image


@flow(name="export-image", flow_run_name=named("export {image_id}"))
def export_image(request: ExportImage) -> ExportedImage | Plan:
    """Make a complete file of an image, with its own MD5 and SHA-256; an export that is there comes back as it is.

    Raises ImageNotFound, IllegalTransition, InvalidRequest, CapacityExceeded, DigestMismatch, ConversionFailed.
    """
    image = find_image(request.image_id, request.account)
    if request.plan_only:
        return plan_export(image, request.image_storage, request.image_format)
    return export(image, request.image_storage, request.image_format)
