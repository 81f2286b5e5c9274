"""Make an image the latest of its family."""

from catalog.records import Plan, Promotion
from flows.operation import flow_of
from flows.promotion.changes import changes_since_latest
from flows.promotion.proving import prove
from flows.requests import PromoteImage
from tasks.promotion.promote import plan_promotion, promote


@flow_of(PromoteImage)
def promote_image(request: PromoteImage) -> Promotion | Plan:
    """Make an image the latest of a family if it passes the gates; missing boot checks and inspections are done first.

    Raises FamilyNotFound, ImageNotFound, IllegalTransition, InvalidRequest, PromotionRefused, MissingProgram.
    """
    image_id, family, account = request.image_id, request.family, request.account
    if request.plan_only:
        return plan_promotion(image_id, family, account)
    prove(image_id, family, account)
    return promote(image_id, family, request.reason, account, changes=changes_since_latest(image_id, family, account))
