"""Authorise operations: by the rights of the row, the caller's role, their token's scope, and the images named.

The check precedes the run and raises the flows' errors; the flows check again by the account set here.
"""

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel

from catalog.errors import ImagewrightError, LeftoverNotFound, NotAllowed
from catalog.records import Door, Image, SignedIn
from catalog.rules.accounts.roles import acting_account, in_scope, is_limited, require, verb_of
from catalog.rules.accounts.sharing import ADMIN, require_owner
from catalog.settings import Settings
from console.entrance.visitors import is_operator, opened
from console.visibility import Visibility
from flows.registry import Operation
from flows.requests.add import AddImage
from flows.requests.subjects import held, images_named, means_of_the_host

R = TypeVar("R", bound=BaseModel)


def allowed(who: SignedIn, row: Operation, asked: R) -> R:
    """Return a request with its account filled in. Raises NotAllowed, OtherAccount."""
    require(who, verb_of(row.rights), row.deployment)
    named = getattr(asked, "account", None) if "account" in asked.model_fields_set else None
    account = acting_account(who, row.rights, named)
    if who.identity.role != ADMIN and (field := means_of_the_host(asked)):
        raise NotAllowed(who.identity.name, row.deployment, f"the role admin for such a {field}")
    many = [_under(account, one) for one in held(asked)]
    if not many:
        return asked.model_copy(update={"account": account})
    return asked.model_copy(update={"account": account, "requests": tuple(allowed(who, row, one) for one in many)})


def checked(settings: Settings, who: SignedIn, row: Operation, asked: R, door: Door) -> R:
    """Check a caller's request and return it with its account; the operators' requests are returned as sent.

    Raises as `allowed` and `check_subjects`.
    """
    if is_operator(who):
        return asked
    request = allowed(who, row, asked)
    with opened(settings, who, door) as catalog:
        check_subjects(Visibility(catalog, who, getattr(request, "account", None)), who, row, request)
    return request


def _under(account: str, asked: BaseModel) -> BaseModel:
    """Return a nested request, with the outer one's account if it names none itself."""
    return asked if "account" in asked.model_fields_set else asked.model_copy(update={"account": account})


def check_subjects(visibility: Visibility, who: SignedIn, row: Operation, asked: BaseModel) -> None:
    """Check the images, volumes and leftovers that a request names; those that the caller may not see are not found.

    Of several images, missing ones stop no others: the run reports each of them.
    """
    _check_images(visibility, who, row, asked)
    for volume_id in _ids(asked, "volume_id"):
        visibility.volume(volume_id)
    for leftover_id in _ids(asked, "leftover_ids"):
        if not visibility.of(visibility.catalog.leftover(leftover_id).image_id):
            raise LeftoverNotFound(leftover_id)


def _check_images(visibility: Visibility, who: SignedIn, row: Operation, asked: BaseModel) -> None:
    named, limited = images_named(asked), is_limited(who.scope)
    if limited and not named:
        _check_name(who, row, asked)
    seen: list[Image] = []
    refused: list[ImagewrightError] = []
    for image_id in named:
        try:
            seen.append(_usable(visibility, row, image_id))
        except ImagewrightError as error:
            refused.append(error)
    if refused and (limited or not seen):
        raise refused[0]


def _usable(visibility: Visibility, row: Operation, image_id: str) -> Image:
    """Return an image that the caller may do this with. Raises ImageNotFound, AccessDenied."""
    image = visibility.image(image_id)
    if verb_of(row.rights) == "change":
        require_owner(image, visibility.catalog.viewer(visibility.account), row.title.lower())
    return image


def _check_name(who: SignedIn, row: Operation, asked: BaseModel) -> None:
    """Raise NotAllowed unless a token limited to some images may add these."""
    for one in held(asked) or (asked,):
        name, family = getattr(one, "name", ""), getattr(one, "family", None)
        if not isinstance(one, AddImage) or not in_scope(who.scope, name, family):
            raise NotAllowed(who.identity.name, row.deployment, "a token that is not limited to other images")


def _ids(asked: BaseModel, field: str) -> Sequence[str]:
    value = getattr(asked, field, None)
    return (value,) if isinstance(value, str) else tuple(value or ())
