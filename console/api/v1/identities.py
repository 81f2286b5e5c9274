"""Persons, robots and tokens. An administrator's, but for one's own password, one's own tokens."""

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path

from catalog.errors import InvalidRequest, TokenNotFound
from catalog.records import Identity, ListedToken, NewToken, SignedIn, Token
from catalog.repository.catalog import Catalog
from catalog.repository.identities import registering
from catalog.repository.identities.sign_in import require_password
from catalog.rules.accounts.roles import may, require
from catalog.settings import Settings
from console.api.v1.pages import Page
from console.api.v1.signing import Here, Who, opened
from console.thread_pools import catalogs, passwords
from flows.requests.identities import AddIdentity, ChangeIdentity, CreateToken

router = APIRouter(tags=["Persons, robots, tokens"])
T = TypeVar("T")
Name = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9._@+-]+$")]
"""What the name of an identity or token can be: others exist for nobody."""


def _within(settings: Settings, who: SignedIn, do: Callable[[Catalog], T]) -> T:
    with opened(settings, who) as catalog:
        return do(catalog)


@router.get("/identities")
async def identities(who: Who, settings: Here) -> Page[Identity]:
    """List persons and robots."""
    require(who, "administer", "list identities")
    return Page(items=await catalogs(_within, settings, who, lambda catalog: tuple(catalog.identities())))


@router.get("/identities/{name}")
async def identity(name: Name, who: Who, settings: Here) -> Identity:
    """Show a person or robot."""
    if name != who.identity.name:
        require(who, "administer", "look at other identities")
    return await catalogs(_within, settings, who, lambda catalog: catalog.identity(name))


@router.post("/identities", status_code=201)
async def add_identity(asked: AddIdentity, who: Who, settings: Here) -> Identity:
    """Add a person or robot."""
    require(who, "administer", "add identities")
    password = asked.password.get_secret_value() if asked.password else None
    return await passwords(
        _within, settings, who,
        lambda catalog: registering.add(
            catalog, who.identity.account, asked.name, asked.account, role=asked.role, projects=asked.projects,
            kind=asked.kind, password=password,
        ),
    )  # fmt: skip


@router.patch("/identities/{name}")
async def change_identity(name: Name, asked: ChangeIdentity, who: Who, settings: Here) -> Identity:
    """Change a person or robot. Their own password everybody may change who gives the present one."""
    given = asked.model_dump(exclude_unset=True, exclude={"password", "current_password"})
    if name != who.identity.name or given or asked.password is None or asked.current_password is None:
        require(who, "administer", "change identities")
    return await passwords(_within, settings, who, lambda catalog: _changed(catalog, name, given, asked, who))


def _changed(catalog: Catalog, name: str, given: dict[str, object], asked: ChangeIdentity, who: SignedIn) -> Identity:
    if asked.current_password is not None:
        require_password(catalog, name, asked.current_password.get_secret_value())
    nothing = [field for field, value in given.items() if value is None]
    if nothing:
        raise InvalidRequest(nothing[0], None, "leave it out where it stays")
    password = asked.password.get_secret_value() if asked.password else None
    return registering.change(catalog, who.identity.account, name, given, password)


@router.delete("/identities/{name}")
async def disable_identity(name: Name, who: Who, settings: Here) -> Identity:
    """Disable a person or robot: sessions end, tokens are refused. The log keeps who they were, and the name stays theirs."""
    require(who, "administer", "disable identities")
    return await catalogs(
        _within, settings, who,
        lambda catalog: registering.change(catalog, who.identity.account, name, {"disabled": True}),
    )  # fmt: skip


@router.get("/tokens")
async def tokens(who: Who, settings: Here, identity: str | None = None) -> Page[ListedToken]:
    """List tokens: one's own, or those of others for an administrator."""
    if identity != who.identity.name:
        require(who, "administer", "list tokens of others")
    return Page(items=await catalogs(_within, settings, who, lambda catalog: tuple(catalog.tokens(identity))))


@router.get("/tokens/{token_id}")
async def token(token_id: Name, who: Who, settings: Here) -> ListedToken:
    """Show a token: who has it, its scope, when it was used last; never its secret."""
    return await catalogs(_within, settings, who, lambda catalog: _own(catalog, token_id, who))


@router.post("/tokens", status_code=201)
async def create_token(asked: CreateToken, who: Who, settings: Here) -> NewToken:
    """Make a token of an identity. What it is, is shown this once."""
    require(who, "administer", "make tokens")
    return await catalogs(
        _within, settings, who,
        lambda catalog: registering.create_token(
            catalog, who.identity.account, who.identity.name, asked.identity, asked.scope, asked.expires_at
        ),
    )  # fmt: skip


@router.delete("/tokens/{token_id}")
async def revoke_token(token_id: Name, who: Who, settings: Here) -> Token:
    """Revoke a token: an administrator any, whoever has one that."""

    def revoked(catalog: Catalog) -> Token:
        _own(catalog, token_id, who)
        return registering.revoke_token(catalog, who.identity.account, token_id)

    return await catalogs(_within, settings, who, revoked)


def _own(catalog: Catalog, token_id: str, who: SignedIn) -> ListedToken:
    """Return a token that somebody may look at; of others there is none."""
    found = catalog.token(token_id)
    if found.identity != who.identity.name and not may(who, "administer"):
        raise TokenNotFound(token_id)
    return found
