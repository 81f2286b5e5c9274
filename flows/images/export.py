"""Export an image to a complete file, and delete such files."""

from catalog.records import ExportedImage, Image, Plan
from flows.operation import flow_of
from flows.requests import DeleteExportedImage, ExportImage
from tasks.images.delete_export import delete_export, plan_delete_export
from tasks.images.export import export, plan_export
from tasks.runtime.runs.waiting import Waiting


@flow_of(ExportImage)
def export_image(request: ExportImage) -> ExportedImage | Plan:
    """Make a complete file of an image, with its own MD5 and SHA-256; an existing export is returned as it is.

    Raises ImageNotFound, IllegalTransition, InvalidRequest, CapacityExceeded, DigestMismatch, ConversionFailed.
    """
    asked = (request.image_id, request.account, request.image_storage, request.image_format)
    if request.plan_only:
        return plan_export(*asked)
    return Waiting(request.patience_s).through(lambda: export(*asked))


@flow_of(DeleteExportedImage)
def delete_exported_image(request: DeleteExportedImage) -> Image | Plan:
    """Delete the exports of an image, all or those of a storage or format; the image stays. Idempotent.

    Returns the image. Raises ImageNotFound, AccessDenied, IllegalTransition.
    """
    asked = (request.image_id, request.account, request.image_storage, request.image_format)
    return plan_delete_export(*asked) if request.plan_only else delete_export(*asked)
