"""Decide which operations are offered where, by the operations' rows and the rules of images."""

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
        """Flows offered on the line."""
        ...


EACH: Mapping[str, tuple[str, ...]] = {
    "export_image": ("image_id",),
    "set_sharing_mode": ("image_id",),
    "change_image_storage": ("image_id", "source"),
    "delete_exported_image": ("image_id", "image_storage", "image_format"),
}
"""Operations on one thing, often wanted for several: a run is started for each, differing in these fields."""
ORDER = tuple(TABLE)
"""Order of a menu, that of the table of transitions: operations that end an image come last."""


def offered(place: Button) -> tuple[str, ...]:
    """Return the flows offered on each line of a kind, or above a tab."""
    return tuple(name for name, row in OPERATIONS.items() if place in row.buttons)


def offered_of(image: Image) -> tuple[str, ...]:
    """Return the flows offered for an image: those that are allowed and would change something."""
    rows = sorted((r for r in OPERATIONS.values() if r.transition), key=lambda row: ORDER.index(row.transition))
    return tuple(row.name for row in rows if allowed(image, row.transition)) + offered("image")


def many(flow: str) -> str:
    """Return how an operation is requested for several lines at once.

    `together`: in one run; names of fields: a run per line, differing in these fields; "": for one line only.
    """
    row = OPERATIONS[flow]
    if any(field in row.request.model_fields for field in ("image_ids", "leftover_ids")) and row.transition != "":
        return "together"
    return " ".join(EACH.get(row.name, ()))


def manies(rows: Iterable[Offering]) -> Mapping[str, str]:
    """Return, for each flow that a list offers for several lines at once, how it is requested; see `many`."""
    flows = dict.fromkeys(flow for row in rows for flow in row.actions)
    return {flow: how for flow in flows if (how := many(flow))}


def shortened(given: Mapping[str, object]) -> Mapping[str, object]:
    """Return the first values of a line's forms without empty ones and, for an image, without its name and ids.

    `subject` of `static/forms.js` adds these from the line.
    """
    if "image_ids" not in given:
        return given
    return {key: value for key, value in given.items() if value and key not in ("name", "image_id", "image_ids")}


def previewed(flow: str) -> bool:
    """Tell whether the plan is shown first: for operations that move or delete existing bytes."""
    row = OPERATIONS[flow]
    moves = (row.room == "replicas" and row.transition) or row.transition in ("delete", "expunge") or row.irreversible
    return bool(moves) and "plan_only" in row.request.model_fields and not row.adds


def permitted(who: SignedIn, flow: str, owner: str | None = None) -> bool:
    """Tell whether a visitor may run a flow on something of an owner. owner: None for things without one."""
    verb = verb_of(OPERATIONS[flow].rights)
    return may(who, verb) and (verb != "change" or owner in (None, sees_as(who)) or who.identity.role == ADMIN)


def allowed(image: Image, transition: str) -> bool:
    """Tell whether an operation is allowed and would change something."""
    if {"enable": "Enabled", "disable": "Disabled"}.get(transition) == image.state:
        return False
    if transition == "delete" and image.status == "Deleted":
        return False
    try:
        status_after(image, transition)
    except ImagewrightError:
        return False
    return True
