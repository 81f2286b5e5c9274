"""Edit an image."""

from catalog.records import Image, Plan
from catalog.rules.images.editing import with_cleared
from flows.operation import flow_of
from flows.requests import EditImage
from tasks.images.edit import edit, plan_edit

NOT_FIELDS = {"image_id", "account", "plan_only", "clear"}


@flow_of(EditImage)
def edit_image(request: EditImage) -> Image | Plan:
    """Edit name, description, boot settings, protection, family or deprecation, under the rules of the add form.

    Raises InvalidRequest, ImageNotFound, AccessDenied, IllegalTransition.
    """
    asked = with_cleared(request.model_dump(exclude=NOT_FIELDS), request.clear)
    if request.plan_only:
        return plan_edit(request.image_id, request.account, asked)
    return edit(request.image_id, request.account, asked)
