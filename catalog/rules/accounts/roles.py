"""What a role may do, for whom, and what the scope of a token leaves of that.

| verb | of operations whose row's rights are | viewer | user | admin |
|---|---|---|---|---|
| read | (listings, contents) | yes | yes | yes |
| use | whoever sees the image | no | yes | yes |
| add | anybody | no | yes | yes |
| change | owner, admin | no | yes | yes |
| administer | admin | no | no | yes |

Viewers and users are within their account: what it does not see does not exist for them. An admin sees everything and acts
for the account that a request names; where it names none, what is added is its own account's, all else is done as `admin`.
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
"""Rights of an operation's row → what doing it is."""
ROLES: Mapping[Role, frozenset[Verb]] = {
    "viewer": frozenset({"read"}),
    "user": frozenset({"read", "use", "add", "change"}),
    "admin": frozenset({"read", "use", "add", "change", "administer"}),
}


BEYOND: frozenset[Verb] = frozenset({"administer"})
"""What no token may that is limited to some images: it could make itself one without limits."""


def verb_of(rights: str) -> Verb:
    """Return what an operation with these rights does; what nobody described is an administrator's."""
    return VERBS.get(rights, "administer")


def may(who: SignedIn, verb: Verb) -> bool:
    """Tell whether role and scope allow something."""
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
    """Raise NotAllowed unless somebody may make tokens of an identity: an administrator of all, a person of their own.

    One's own are made by a session: what is left of a role by a token, a token that it makes could not be trusted to keep.
    """
    if identity == who.identity.name and not may(who, "administer"):
        if not who.proof.startswith("session:"):
            raise NotAllowed(who.identity.name, "make tokens by a token", "a session, or the role admin")
        return
    require(who, "administer", "make tokens")


def roles_up_to(role: Role) -> tuple[Role, ...]:
    """Return the roles that a role has all rights of, the least first."""
    return tuple(one for one, verbs in ROLES.items() if verbs <= ROLES[role])


def scope_of(role: Role, of: Role) -> Scope:
    """Return what leaves of the rights of one role those of another, also when it is raised later. Raises InvalidRequest for one above."""
    if role not in roles_up_to(of):
        raise InvalidRequest("role", role, f"one of {', '.join(roles_up_to(of))}")
    return Scope(verbs=tuple(sorted(ROLES[role])))


def role_left(role: Role, scope: Scope) -> Role | None:
    """Return the role whose rights a scope leaves of a role's, which images apart; None where it is no whole role."""
    left = ROLES[role] & frozenset(scope.verbs or ROLES[role]) - (BEYOND if is_limited(scope) else frozenset())
    return next((one for one, verbs in ROLES.items() if verbs == left), None)


def sees_as(who: SignedIn) -> str:
    """Return the account with whose eyes somebody reads."""
    return ADMIN if who.identity.role == ADMIN else who.identity.account


def acting_account(who: SignedIn, rights: str, asked: str | None) -> str:
    """Return the account that a request is made for. asked: what it names, None where it names none.

    Raises OtherAccount for another than one's own, but for an admin.
    """
    own = who.identity.account
    if who.identity.role == ADMIN:
        return asked or (own if verb_of(rights) == "add" else ADMIN)
    if asked not in (None, own):
        raise OtherAccount(who.identity.name, asked, own)
    return own


def is_limited(scope: Scope) -> bool:
    """Tell whether a scope leaves some images only."""
    return bool(scope.images or scope.families)


def in_scope(scope: Scope, name: str, family: str | None) -> bool:
    """Tell whether an image of this name and family is left by a scope: by one of its patterns or families."""
    if not is_limited(scope):
        return True
    return family in scope.families or any(fits(pattern, name) for pattern in scope.images)


def sees(scope: Scope, image: Image) -> bool:
    """Tell whether a scope leaves an image."""
    return in_scope(scope, image.name, image.family)


def check_identity(identity: Identity) -> None:
    """Raise InvalidRequest unless account and role go together."""
    if identity.account == ADMIN and identity.role != ADMIN:
        raise InvalidRequest("account", ADMIN, f"with role {identity.role} another account: {ADMIN!r} sees everything")


def check_scope(scope: Scope) -> None:
    """Raise InvalidRequest for patterns and names that can match nothing."""
    for parameter, names in (("images", scope.images), ("families", scope.families)):
        if not all(name.strip() for name in names):
            raise InvalidRequest(parameter, names, "names that are not empty")


def fits(pattern: str, name: str) -> bool:
    """Tell whether a pattern (`*` any characters, `?` one) matches a name, in time that no pattern can make long.

    Only the last `*` met is ever gone back to: what an earlier one took more of, the later one can take as well.
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
