"""Persons, robots and tokens. An administrator's, but for one's own password, one's own tokens."""

from collections.abc import Callable
from typing import Annotated, Concatenate, ParamSpec, TypeVar

from fastapi import APIRouter, Path

from catalog.records import Identity, ListedToken, NewToken, SignedIn, Token
from catalog.repository.catalog import Catalog
from catalog.settings import Settings
from console import people
from console.api.v1.pages import Page
from console.api.v1.signing import Here, Who, opened
from console.thread_pools import catalogs, passwords
from flows.requests.identities import AddIdentity, AddRobot, ChangeIdentity, CreateToken

router = APIRouter(tags=["Persons, robots, tokens"])
P = ParamSpec("P")
T = TypeVar("T")
Name = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9._@+-]+$")]
"""What the name of an identity or token can be: others exist for nobody."""


def _within(
    settings: Settings,
    who: SignedIn,
    do: Callable[Concatenate[Catalog, SignedIn, P], T],
    *args: P.args,
    **more: P.kwargs,
) -> T:
    with opened(settings, who) as catalog:
        return do(catalog, who, *args, **more)


@router.get("/identities")
async def identities(who: Who, settings: Here) -> Page[Identity]:
    """List persons and robots."""
    return Page(items=await catalogs(_within, settings, who, people.identities))


@router.get("/identities/{name}")
async def identity(name: Name, who: Who, settings: Here) -> Identity:
    """Show a person or robot."""
    return await catalogs(_within, settings, who, people.identity, name)


@router.post("/identities", status_code=201)
async def add_identity(asked: AddIdentity, who: Who, settings: Here) -> Identity:
    """Add a person or robot."""
    return await passwords(_within, settings, who, people.add_identity, asked)


@router.post("/robots", status_code=201)
async def add_robot(asked: AddRobot, who: Who, settings: Here) -> NewToken:
    """Add a robot with its first token, which is shown only once."""
    return await catalogs(_within, settings, who, people.add_robot, asked)


@router.patch("/identities/{name}")
async def change_identity(name: Name, asked: ChangeIdentity, who: Who, settings: Here) -> Identity:
    """Change a person or robot. Everybody may change their own password by giving the present one."""
    return await passwords(_within, settings, who, people.change_identity, name, asked)


@router.delete("/identities/{name}")
async def disable_identity(name: Name, who: Who, settings: Here) -> Identity:
    """Disable a person or robot: sessions end and tokens are refused. The event log still names them, and the name stays taken."""
    return await catalogs(_within, settings, who, people.disable_identity, name)


@router.get("/tokens")
async def tokens(who: Who, settings: Here, identity: str | None = None) -> Page[ListedToken]:
    """List the caller's tokens; an administrator may list those of others."""
    return Page(items=await catalogs(_within, settings, who, people.tokens, identity))


@router.get("/tokens/{token_id}")
async def token(token_id: Name, who: Who, settings: Here) -> ListedToken:
    """Show a token: its owner, scope and last use; never its secret."""
    return await catalogs(_within, settings, who, people.token, token_id)


@router.post("/tokens", status_code=201)
async def create_token(asked: CreateToken, who: Who, settings: Here) -> NewToken:
    """Create a token: an administrator for any identity, a person signed in by a session for themselves. It is shown only once."""
    return await catalogs(_within, settings, who, people.create_token, asked)


@router.delete("/tokens/{token_id}")
async def revoke_token(token_id: Name, who: Who, settings: Here) -> Token:
    """Revoke a token: an administrator any, everybody else their own."""
    return await catalogs(_within, settings, who, people.revoke_token, token_id)
