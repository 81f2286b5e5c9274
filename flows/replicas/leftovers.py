"""Clean up leftovers: list → approval → prove the new replica again → delete → give space back."""

from collections.abc import Sequence
from typing import Literal

from prefect.artifacts import create_table_artifact
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment
from pydantic import Field

from catalog.errors import InvalidRequest
from catalog.records import CleanupReport, ItemOutcome, Leftover, Plan
from flows.operation import flow_of
from flows.requests import CleanUpLeftovers
from flows.requests.form import at
from tasks.replicas.leftovers import (
    LeftoverReview,
    delete_leftover,
    give_space_back,
    plan_cleanup,
    review_leftovers,
)
from tasks.runtime.runs.notify import quietly

ANSWER_WITHIN_S = 7 * 24 * 3600


class Approval(RunInput):
    """Approve that the listed leftovers are deleted for good."""

    decision: Literal["reject", "approve"] = Field(
        "reject", **at(0, "Decision", "approve deletes for good; it can't be undone.")
    )
    typed_count: int = Field(
        0,
        **at(
            1,
            "How many leftovers go",
            "Type how many leftovers are listed above; any other number deletes nothing.",
        ),
    )
    reason: str = Field("", **at(2, "Reason", "Kept in the run's log."))


@flow_of(CleanUpLeftovers, persist_result=True)
def clean_up_leftovers(request: CleanUpLeftovers) -> CleanupReport | Plan:
    """Delete leftovers whose image is proven whole on its new storage; leftovers in use are kept and named.

    With approve "ask" the run waits until a person has approved the list. Raises StorageNotFound, InvalidRequest.
    """
    review = review_leftovers(request.image_storage, request.leftover_ids, request.account, request.host)
    if request.plan_only:
        return plan_cleanup(review)
    if review.going and request.approve == "ask" and (refusal := _refused(review)):
        kept = [ItemOutcome(subject=left.id, outcome="kept", reason=refusal) for left in review.going]
        return CleanupReport(items=(*kept, *review.kept))
    done = [delete_leftover(leftover, request.account) for leftover in review.going]
    return _report((*done, *review.kept), review.going)


def _refused(review: LeftoverReview) -> str:
    """Ask a person for approval. Return "" if approved, else the reason why nothing is deleted."""
    if not deployment.get_id():
        raise InvalidRequest("approve", "ask", "yes, unless the run is a deployment's: nobody could be asked")
    quietly(lambda: _show(review.going))
    form = question(review.going)
    return refusal(suspend_flow_run(wait_for_input=form, timeout=ANSWER_WITHIN_S), len(review.going))


def question(going: Sequence[Leftover]) -> type[Approval]:
    """Return the form for the approval: one line per leftover, and the meaning of each input."""
    listed = "\n".join(
        f"- image {left.image_id}: {left.location} on {left.image_storage}, {left.size_bytes} bytes; it moved to {left.moved_to}"
        for left in going
    )
    # No values are passed: a field with one loses its title and description.
    return Approval.with_initial_data(description=f"Delete **{len(going)}** leftovers for good?\n\n{listed}")


def refusal(answer: Approval, count: int) -> str:
    """Return why an answer is no approval, "" if it is one."""
    if answer.decision != "approve":
        return f"not approved: {answer.reason or 'rejected'}"
    if answer.typed_count != count:
        return f"not approved: {answer.typed_count} was typed, {count} are listed"
    return ""


def _show(going: Sequence[Leftover]) -> None:
    rows = [left.model_dump(mode="json") for left in going]
    create_table_artifact(rows, key="leftovers-to-delete", description="what a clean-up would delete")


def _report(items: tuple[ItemOutcome, ...], going: Sequence[Leftover]) -> CleanupReport:
    freed = sum(item.bytes for item in items)
    if any(item.outcome == "done" for item in items):
        for name in sorted({leftover.image_storage for leftover in going}):
            reclaimed = give_space_back(name)
            freed += reclaimed.bytes_freed if reclaimed else 0
    return CleanupReport(items=items, bytes_freed=freed)
