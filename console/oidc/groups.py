"""Map the groups of a provider to account, projects and role."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast, get_args

from catalog.errors import InvalidRequest
from catalog.records import Role
from catalog.rules.accounts.sharing import ADMIN
from catalog.rules.accounts.sign_in import check_names

SETTING = "IMAGEWRIGHT_OIDC_GROUPS"
ALLOWED = "GROUP=ACCOUNT:ROLE or GROUP=ACCOUNT:ROLE:PROJECT+PROJECT, ROLE one of viewer, user, admin"


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a group's members."""

    group: str
    account: str
    role: Role
    projects: tuple[str, ...] = ()


def places_of(rules: Iterable[str]) -> tuple[Place, ...]:
    """Parse the setting. Raises InvalidRequest."""
    return tuple(map(_place, rules))


def _place(rule: str) -> Place:
    group, _, place = rule.rpartition("=")
    account, _, rest = place.partition(":")
    role, _, projects = rest.partition(":")
    if not group or not account or role not in get_args(Role) or (account == ADMIN and role != ADMIN):
        raise InvalidRequest(SETTING, rule, ALLOWED)
    named = tuple(sorted({name for name in projects.split("+") if name}))
    check_names(account, named)
    return Place(group, account, cast("Role", role), named)


def place_for(places: Sequence[Place], groups: Iterable[str]) -> Place | None:
    """Return the first place of a person's groups, None if no group has one."""
    mine = frozenset(groups)
    return next((place for place in places if place.group in mine), None)
