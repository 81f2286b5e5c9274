"""Set the sharing mode of an image."""

from catalog.records import Image, Plan
from flows.operation import flow_of
from flows.requests import SetSharingMode
from tasks.images.share import plan_share, share


@flow_of(SetSharingMode)
def set_sharing_mode(request: SetSharingMode) -> Image | Plan:
    """Share an image globally, with chosen accounts and projects, or with nobody; holds for new uses at once.

    Raises InvalidRequest, ImageNotFound, AccessDenied, IllegalTransition.
    """
    asked = (request.image_id, request.account, request.mode, request.accounts, request.projects)
    return plan_share(*asked) if request.plan_only else share(*asked)
