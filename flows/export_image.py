"""Export an image to a complete file, and delete such files."""

from prefect import flow

from catalog.records import ExportedImage, Image, Plan
from flows.naming import named
from flows.requests import DeleteExportedImage, ExportImage
from tasks.delete_export import delete_export, plan_delete_export
from tasks.export import export, plan_export


@flow(name="export-image", flow_run_name=named("export {image_id}"))
def export_image(request: ExportImage) -> ExportedImage | Plan:
    """Make a complete file of an image, with its own MD5 and SHA-256; an export that is there comes back as it is.

    Raises ImageNotFound, IllegalTransition, InvalidRequest, CapacityExceeded, DigestMismatch, ConversionFailed.
    """
    asked = (request.image_id, request.account, request.image_storage, request.image_format)
    return plan_export(*asked) if request.plan_only else export(*asked)


@flow(name="delete-exported-image", flow_run_name=named("delete exports of {image_id}"))
def delete_exported_image(request: DeleteExportedImage) -> Image | Plan:
    """Delete the complete files made of an image; chips and image stay. Idempotent. Returns the image.

    Raises ImageNotFound, AccessDenied, IllegalTransition.
    """
    asked = (request.image_id, request.account, request.image_storage)
    return plan_delete_export(*asked) if request.plan_only else delete_export(*asked)
