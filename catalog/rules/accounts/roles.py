"""The rights of roles, the accounts they apply to, and the limits that a token's scope adds.

| verb | rights in the operation's row | viewer | user | admin |
|---|---|---|---|---|
| read | (listings, contents) | yes | yes | yes |
| use | whoever sees the image | no | yes | yes |
| add | anybody | no | yes | yes |
| change | owner, admin | no | yes | yes |
| administer | admin | no | no | yes |

Viewers and users act within their account: what it does not see does not exist for them. An admin sees everything and
acts for the account that a request names; if it names none, adds go to the admin's own account and all else is done as
`admin`.
"""

from collections.abc import Mapping

from catalog.errors import InvalidRequest, NotAllowed, OtherAccount
from catalog.records import Identity, Image, Role, Scope, SignedIn, Verb
from catalog.rules.accounts.sharing import ADMIN

VERBS: Mapping[str, Verb] = {
    "anybody": "add",
    "whoever sees the image": "use",
    "owner, admin": "change",
    "admin": "administer",
}
"""Rights in an operation's row → verb."""
ROLES: Mapping[Role, frozenset[Verb]] = {
    "viewer": frozenset({"read"}),
    "user": frozenset({"read", "use", "add", "change"}),
    "admin": frozenset({"read", "use", "add", "change", "administer"}),
}


BEYOND: frozenset[Verb] = frozenset({"administer"})
"""Verbs that a token limited to some images never has: with them it could create a token without limits."""


def verb_of(rights: str) -> Verb:
    """Return the verb of an operation with these rights; unknown rights are the administrator's."""
    return VERBS.get(rights, "administer")


def may(who: SignedIn, verb: Verb) -> bool:
    """Tell whether role and scope allow a verb."""
    left = not who.scope.verbs or verb in who.scope.verbs
    beyond = verb in BEYOND and is_limited(who.scope)
    return verb in ROLES[who.identity.role] and left and not beyond


def require(who: SignedIn, verb: Verb, operation: str) -> None:
    """Raise NotAllowed unless role and scope allow an operation."""
    if verb not in ROLES[who.identity.role]:
        roles = " or ".join(role for role, verbs in ROLES.items() if verb in verbs)
        raise NotAllowed(who.identity.name, operation, f"the role {roles}")
    if not may(who, verb):
        raise NotAllowed(who.identity.name, operation, f"a token whose scope has {verb!r}")


def require_tokens_of(who: SignedIn, identity: str) -> None:
    """Raise NotAllowed unless the caller may create tokens of an identity: administrators of any, persons of their own.

    A person's own tokens need a session: a token created by a limited token might exceed that one's limits.
    """
    if identity == who.identity.name and not may(who, "administer"):
        if not who.proof.startswith("session:"):
            raise NotAllowed(who.identity.name, "make tokens by a token", "a session, or the role admin")
        return
    require(who, "administer", "make tokens")


def roles_up_to(role: Role) -> tuple[Role, ...]:
    """Return the roles whose rights a role includes, the least first."""
    return tuple(one for one, verbs in ROLES.items() if verbs <= ROLES[role])


def scope_of(role: Role, of: Role) -> Scope:
    """Return the scope that limits the role `of` to the rights of `role`, even if the identity's role is raised later.

    Raises InvalidRequest for a role above `of`.
    """
    if role not in roles_up_to(of):
        raise InvalidRequest("role", role, f"one of {', '.join(roles_up_to(of))}")
    return Scope(verbs=tuple(sorted(ROLES[role])))


def role_left(role: Role, scope: Scope) -> Role | None:
    """Return the role that a scope reduces a role to, ignoring limits to images; None if it equals no role."""
    left = ROLES[role] & frozenset(scope.verbs or ROLES[role]) - (BEYOND if is_limited(scope) else frozenset())
    return next((one for one, verbs in ROLES.items() if verbs == left), None)


def sees_as(who: SignedIn) -> str:
    """Return the account by which a caller's visibility is decided."""
    return ADMIN if who.identity.role == ADMIN else who.identity.account


def acting_account(who: SignedIn, rights: str, asked: str | None) -> str:
    """Return the account that a request acts for. asked: the one it names, None if it names none.

    Raises OtherAccount if a caller other than an admin names a foreign account.
    """
    own = who.identity.account
    if who.identity.role == ADMIN:
        return asked or (own if verb_of(rights) == "add" else ADMIN)
    if asked not in (None, own):
        raise OtherAccount(who.identity.name, asked, own)
    return own


def is_limited(scope: Scope) -> bool:
    """Tell whether a scope is limited to some images."""
    return bool(scope.images or scope.families)


def in_scope(scope: Scope, name: str, family: str | None) -> bool:
    """Tell whether a scope includes an image of this name and family, by one of its patterns or families."""
    if not is_limited(scope):
        return True
    return family in scope.families or any(fits(pattern, name) for pattern in scope.images)


def sees(scope: Scope, image: Image) -> bool:
    """Tell whether a scope includes an image."""
    return in_scope(scope, image.name, image.family)


def check_identity(identity: Identity) -> None:
    """Raise InvalidRequest unless account and role are compatible."""
    if identity.account == ADMIN and identity.role != ADMIN:
        raise InvalidRequest("account", ADMIN, f"with role {identity.role} another account: {ADMIN!r} sees everything")


def check_scope(scope: Scope) -> None:
    """Raise InvalidRequest for patterns and names that can match nothing."""
    for parameter, names in (("images", scope.images), ("families", scope.families)):
        if not all(name.strip() for name in names):
            raise InvalidRequest(parameter, names, "names that are not empty")


def fits(pattern: str, name: str) -> bool:
    """Tell whether a pattern (`*` any characters, `?` one) matches a name, without exponential backtracking.

    Backtracks only to the last `*`: whatever an earlier one could absorb, the last one can absorb too.
    """
    at = place = 0
    star, taken = -1, 0
    while place < len(name):
        if pattern[at : at + 1] == "*":
            star, taken, at = at, place, at + 1
        elif pattern[at : at + 1] in ("?", name[place]):
            at, place = at + 1, place + 1
        elif star >= 0:
            taken += 1
            at, place = star + 1, taken
        else:
            return False
    return not pattern[at:].strip("*")
