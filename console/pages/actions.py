"""Which operations are offered where: the operations' rows say it, the rules of images decide."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from catalog.errors import ImagewrightError
from catalog.records import Image, SignedIn
from catalog.rules.accounts.roles import may, sees_as, verb_of
from catalog.rules.accounts.sharing import ADMIN
from catalog.rules.images.transitions import TABLE, status_after
from flows.registry import OPERATIONS, Button


class Offering(Protocol):
    """A line of a list."""

    @property
    def actions(self) -> tuple[str, ...]:
        """Flows that it offers."""
        ...


EACH: Mapping[str, tuple[str, ...]] = {
    "export_image": ("image_id",),
    "set_sharing_mode": ("image_id",),
    "change_image_storage": ("image_id", "source"),
    "delete_exported_image": ("image_id", "image_storage", "image_format"),
}
"""Asked for one thing each, and often wanted for several: the same is begun for each, differing in these fields."""
ORDER = tuple(TABLE)
"""A menu is ordered as the table of transitions is: what ends an image comes last."""


def offered(place: Button) -> tuple[str, ...]:
    """Return the flows offered on each line of a kind, or above a tab."""
    return tuple(name for name, row in OPERATIONS.items() if place in row.buttons)


def offered_of(image: Image) -> tuple[str, ...]:
    """Return the flows offered of an image: what would be taken, and would change something."""
    rows = sorted((r for r in OPERATIONS.values() if r.transition), key=lambda row: ORDER.index(row.transition))
    return tuple(row.name for row in rows if allowed(image, row.transition)) + offered("image")


def many(flow: str) -> str:
    """Return how an operation is asked for several things at once.

    `together`: in one run; names of fields: a run each, which differ in them; empty: for one only.
    """
    row = OPERATIONS[flow]
    if any(field in row.request.model_fields for field in ("image_ids", "leftover_ids")) and row.transition != "":
        return "together"
    return " ".join(EACH.get(row.name, ()))


def manies(rows: Iterable[Offering]) -> Mapping[str, str]:
    """Return, for each flow that lines of a list offer for several at once, how it is asked for; see `many`."""
    flows = dict.fromkeys(flow for row in rows for flow in row.actions)
    return {flow: how for flow in flows if (how := many(flow))}


def shortened(given: Mapping[str, object]) -> Mapping[str, object]:
    """Return what a line's forms begin with, without what an image's line says already: its name and id, and what is empty.

    `subject` of `static/forms.js` says it again.
    """
    if "image_ids" not in given:
        return given
    return {key: value for key, value in given.items() if value and key not in ("name", "image_id", "image_ids")}


def previewed(flow: str) -> bool:
    """Tell whether the plan is shown before one can go on: whatever moves or deletes bytes that are there."""
    row = OPERATIONS[flow]
    moves = (row.room == "replicas" and row.transition) or row.transition in ("delete", "expunge") or row.irreversible
    return bool(moves) and "plan_only" in row.request.model_fields and not row.adds


def permitted(who: SignedIn, flow: str, owner: str | None = None) -> bool:
    """Tell whether somebody may do something with what an account owns. owner: None where nothing has one."""
    verb = verb_of(OPERATIONS[flow].rights)
    return may(who, verb) and (verb != "change" or owner in (None, sees_as(who)) or who.identity.role == ADMIN)


def allowed(image: Image, transition: str) -> bool:
    """Tell whether an operation would be taken, and would change something."""
    if {"enable": "Enabled", "disable": "Disabled"}.get(transition) == image.state:
        return False
    if transition == "delete" and image.status == "Deleted":
        return False
    try:
        status_after(image, transition)
    except ImagewrightError:
        return False
    return True
