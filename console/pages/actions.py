"""Which operations are offered where: the operations' rows say it, the rules of images decide."""

from catalog.errors import ImagewrightError
from catalog.records import Image, SignedIn
from catalog.rules.accounts.roles import may, sees_as, verb_of
from catalog.rules.accounts.sharing import ADMIN
from catalog.rules.images.transitions import TABLE, status_after
from flows.registry import OPERATIONS, Button

ORDER = tuple(TABLE)
"""A menu is ordered as the table of transitions is: what ends an image comes last."""


def offered(place: Button) -> tuple[str, ...]:
    """Return the flows offered on each line of a kind, or above a tab."""
    return tuple(name for name, row in OPERATIONS.items() if place in row.buttons)


def offered_of(image: Image) -> tuple[str, ...]:
    """Return the flows offered of an image: what would be taken, and would change something."""
    rows = sorted((r for r in OPERATIONS.values() if r.transition), key=lambda row: ORDER.index(row.transition))
    return tuple(row.name for row in rows if allowed(image, row.transition)) + offered("image")


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
