"""Recall an image."""

from catalog.records import Plan, RecallReport
from flows.operation import flow_of
from flows.requests import RecallImage
from tasks.promotion.recall import plan_recall, recall


@flow_of(RecallImage)
def recall_image(request: RecallImage) -> RecallReport | Plan:
    """Recall an image: nothing new is made from it, families roll back, and its users are named.

    Raises ImageNotFound, InvalidRequest.
    """
    asked, descendants = (request.image_id, request.account), request.descendants
    if request.plan_only:
        return plan_recall(*asked, descendants=descendants)
    return recall(request.image_id, request.reason, request.account, descendants=descendants)
