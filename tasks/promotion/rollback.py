"""Roll a family back to an image that was promoted before."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from catalog.errors import InvalidRequest
from catalog.log import events
from catalog.records import Action, Channel, Image, Plan, Promotion
from catalog.rules.accounts.sharing import require_admin
from catalog.rules.promotion.history import goes_back_to, standing, why_not
from tasks.runtime.resources import changing, known_image, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.runs.notify import emit
from tasks.runtime.task import task

if TYPE_CHECKING:
    from catalog.repository.change import Change
    from catalog.repository.reading.reading import Reading

OPERATION = "roll back families"


@task(task_run_name="roll back {family}", **retrying())
def roll_back(family: str, cpu_architecture: str, to: str | None, reason: str, account: str) -> Promotion:
    """Make an image that was promoted before the latest again, in one transaction.

    Raises FamilyNotFound, InvalidRequest.
    """
    with open_resources() as (_, catalog), changing(catalog, account) as change:
        channel, target = _target(change, family, cpu_architecture, to, account)
        left = known_image(change, channel.image_id or "")
        promotion = change.go_back(family, channel.cpu_architecture, target, reason)
    tell([(promotion, left or target)])
    return promotion


@task(task_run_name="plan to roll back {family}", **retrying())
def plan_rollback(family: str, cpu_architecture: str, to: str | None, account: str) -> Plan:
    """Return what would become the latest. Changes nothing. Raises as `roll_back`."""
    with open_resources() as (_, catalog):
        channel, target = _target(catalog, family, cpu_architecture, to, account)
    action = Action(
        verb="promote again", subject=f"image:{target.id}", reason=f"instead of {channel.image_id or 'nothing'}"
    )
    return Plan(operation=OPERATION, actions=(action,), summary=f"{family} for {channel.cpu_architecture} goes back")


@task(task_run_name="look whether families have to go back", **retrying())
def leave_unusable() -> tuple[Promotion, ...]:
    """Roll back each family whose latest can't be used any more: damaged everywhere, disabled by a rescan, deleted."""
    with open_resources() as (_, catalog):
        left: list[tuple[Promotion, Image]] = []
        for channel in tuple(catalog.channels()):
            if _is_unusable(catalog, channel):
                with changing(catalog, "system") as change:
                    left += _left(change, channel)
    tell(left)
    return tuple(promotion for promotion, _ in left)


def _left(change: "Change", asked: Channel) -> Sequence[tuple[Promotion, Image]]:
    channel = change.channel(asked.family, asked.cpu_architecture)
    if channel is None or not _is_unusable(change, channel):
        return []  # another run was first
    image = known_image(change, channel.image_id or "")
    reason = why_not(image) if image else "it is gone"
    promotion = step_back(change, channel, f"{channel.image_id} can't be used any more: {reason}")
    return [(promotion, image)] if image else []


def _is_unusable(catalog: "Reading", channel: Channel) -> bool:
    return channel.image_id is not None and _usable(catalog, channel.image_id) is None


def step_back(change: "Change", channel: Channel, reason: str) -> Promotion:
    """Roll back to the newest earlier image that can be used, or to no latest if there is none."""
    to = goes_back_to(_stands(change, channel), lambda one: _usable(change, one) is not None, channel.image_id)
    return change.go_back(channel.family, channel.cpu_architecture, _usable(change, to) if to else None, reason)


def tell(went_back: Sequence[tuple[Promotion, Image]]) -> None:
    """Emit the event of each family that was rolled back, with the image it left. Call it after the commit."""
    for promotion, left in went_back:
        emit(
            events.FAMILY_ROLLED_BACK,
            left,
            family=promotion.family,
            cpu_architecture=promotion.cpu_architecture,
            to=promotion.image_id,
            reason=promotion.reason,
        )


def _target(
    catalog: "Reading", family: str, cpu_architecture: str, to: str | None, account: str
) -> tuple[Channel, Image]:
    require_admin(account, OPERATION)
    catalog.family(family)
    channel = catalog.channel_for(family, cpu_architecture)
    if channel is None:
        raise InvalidRequest("family", family, f"one that promoted something for {cpu_architecture}")
    stands = [one for one in _stands(catalog, channel) if one != channel.image_id]
    usable = [one for one in stands if _usable(catalog, one) is not None]
    chosen = to or (usable[-1] if usable else None)
    image = _usable(catalog, chosen) if chosen in usable else None
    if image is None:
        allowed = f"one of {', '.join(usable)}" if usable else "nothing that was promoted before can be used any more"
        raise InvalidRequest("to", to, allowed)
    return channel, image


def _stands(catalog: "Reading", channel: Channel) -> tuple[str, ...]:
    return tuple(standing(catalog.promotions(channel.family, channel.cpu_architecture)))


def _usable(catalog: "Reading", image_id: str) -> Image | None:
    image = known_image(catalog, image_id)
    return None if image is None or why_not(image) else image
