"""Manage persons, robots and tokens, for the API and the page *Access*.

Only administrators may, except for one's own password and tokens. All functions take a catalog opened for the caller.
"""

from catalog.errors import InvalidRequest, TokenNotFound
from catalog.records import Identity, ListedToken, NewToken, SignedIn, Token
from catalog.repository.catalog import Catalog
from catalog.repository.identities import registering
from catalog.repository.identities.sign_in import require_password
from catalog.rules.accounts.roles import may, require, require_tokens_of
from console.entrance.visitors import caller_of
from flows.requests.identities import AddIdentity, AddRobot, ChangeIdentity, CreateToken


def identities(catalog: Catalog, who: SignedIn) -> tuple[Identity, ...]:
    """List persons and robots. Raises NotAllowed."""
    require(who, "administer", "list identities")
    return tuple(catalog.identities())


def identity(catalog: Catalog, who: SignedIn, name: str) -> Identity:
    """Return a person or robot. Raises NotAllowed, IdentityNotFound."""
    if name != who.identity.name:
        require(who, "administer", "look at other identities")
    return catalog.identity(name)


def add_identity(catalog: Catalog, who: SignedIn, asked: AddIdentity) -> Identity:
    """Add a person or robot. Raises NotAllowed, IdentityExists, InvalidRequest."""
    require(who, "administer", "add identities")
    password = asked.password.get_secret_value() if asked.password else None
    return registering.add(
        catalog,
        who.identity.account,
        asked.name,
        asked.account,
        role=asked.role,
        projects=asked.projects,
        kind=asked.kind,
        password=password,
    )


def add_robot(catalog: Catalog, who: SignedIn, asked: AddRobot) -> NewToken:
    """Add a robot and make its first token. Raises as `add_identity`."""
    require(who, "administer", "add identities")
    return registering.add_robot(
        catalog,
        who.identity.account,
        _maker(who),
        asked.name,
        asked.account,
        role=asked.role,
        scope=asked.scope,
        expires_at=asked.expires_at,
    )


def change_identity(catalog: Catalog, who: SignedIn, name: str, asked: ChangeIdentity) -> Identity:
    """Change a person or robot. Everyone may change their own password if they give the present one.

    Raises NotAllowed, SignInFailed, SignInLimited, IdentityNotFound, LastAdministrator, InvalidRequest.
    """
    given = asked.model_dump(exclude_unset=True, exclude={"password", "current_password"})
    if name != who.identity.name or given or asked.password is None or asked.current_password is None:
        require(who, "administer", "change identities")
    if asked.current_password is not None:
        require_password(catalog, name, asked.current_password.get_secret_value())
    nothing = [field for field, value in given.items() if value is None]
    if nothing:
        raise InvalidRequest(nothing[0], None, "leave it out where it stays")
    password = asked.password.get_secret_value() if asked.password else None
    return registering.change(catalog, who.identity.account, name, given, password)


def disable_identity(catalog: Catalog, who: SignedIn, name: str) -> Identity:
    """Disable a person or robot. Raises NotAllowed, IdentityNotFound, LastAdministrator."""
    require(who, "administer", "disable identities")
    return registering.change(catalog, who.identity.account, name, {"disabled": True})


def tokens(catalog: Catalog, who: SignedIn, identity: str | None) -> tuple[ListedToken, ...]:
    """List tokens, newest first: the caller's own, or for an administrator those of others. Raises NotAllowed."""
    if identity != who.identity.name:
        require(who, "administer", "list tokens of others")
    return tuple(catalog.tokens(identity))


def token(catalog: Catalog, who: SignedIn, token_id: str) -> ListedToken:
    """Return a token that the caller may see. Raises TokenNotFound, also for any other one."""
    found = catalog.token(token_id)
    if found.identity != who.identity.name and not may(who, "administer"):
        raise TokenNotFound(token_id)
    return found


def create_token(catalog: Catalog, who: SignedIn, asked: CreateToken) -> NewToken:
    """Create a token, whose secret is shown only now. Raises NotAllowed, IdentityNotFound, InvalidRequest."""
    require_tokens_of(who, asked.identity)
    return registering.create_token(
        catalog, who.identity.account, _maker(who), asked.identity, asked.scope, asked.expires_at, asked.name
    )


def revoke_token(catalog: Catalog, who: SignedIn, token_id: str) -> Token:
    """Revoke a token: any one for an administrator, else the caller's own. Raises TokenNotFound."""
    token(catalog, who, token_id)
    return registering.revoke_token(catalog, who.identity.account, token_id)


def _maker(who: SignedIn) -> str:
    """Return the name to record as a token's creator; "" for the operators, whose name a person may have."""
    return caller_of(who).identity or ""
