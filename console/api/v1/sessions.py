"""Sign-in: the first administrator, sessions of persons, the caller's identity."""

import hmac
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from catalog.errors import SetupClosed
from catalog.records import DeviceCode, Identity, NewSession, Record, Role, Scope, SignedIn
from catalog.repository.identities.registering import first_administrator
from catalog.repository.identities.sign_in import sign_in, sign_out
from catalog.settings import Settings
from console.api.v1.signing import Here, Who, address_of, opened
from console.entrance.proxies import is_local
from console.entrance.rates import Rates
from console.oidc.signing_in import OidcSignIn
from console.thread_pools import catalogs, passwords
from flows.requests.identities import Setup, SignIn
from flows.server.environment import address_file, read_address, write_address

router = APIRouter(tags=["Signing in"])


class WhoAmI(Record):
    """The caller, and what the given token allows. expires_at: when that token or session expires."""

    name: str
    kind: str
    account: str
    projects: tuple[str, ...]
    role: Role
    scope: Scope
    expires_at: datetime | None


def _address(request: Request) -> str:
    return address_of(request)


def _local(request: Request) -> bool:
    return is_local(request)


@router.post("/setup", status_code=201)
async def setup(asked: Setup, settings: Here, local: Annotated[bool, Depends(_local)]) -> Identity:
    """Create the first administrator with the one-time link that `imagewright serve` prints; once, and on its machine only."""
    if not local or not await catalogs(_is_ours, settings, asked.token):
        raise SetupClosed
    return await passwords(_set_up, settings, asked)


def _is_ours(settings: Settings, token: str) -> bool:
    """Tell whether a token is the unused one of the setup link."""
    found = read_address(address_file(settings))
    link = found.setup if found else ""
    genuine = hmac.compare_digest(token.encode(errors="replace"), link.partition("#")[2].encode())
    with opened(settings) as catalog:
        return genuine and bool(token) and not catalog.has_person()


def _set_up(settings: Settings, asked: Setup) -> Identity:
    with opened(settings) as catalog:
        made = first_administrator(catalog, asked.name, asked.password.get_secret_value())
    if found := read_address(address_file(settings)):
        write_address(address_file(settings), found.model_copy(update={"setup": ""}))
    return made


@router.post("/session")
async def begin_session(asked: SignIn, settings: Here, address: Annotated[str, Depends(_address)]) -> NewSession:
    """Sign in with name and password. The token is shown only once."""
    return await passwords(_sign_in, settings, asked, address)


def _sign_in(settings: Settings, asked: SignIn, address: str) -> NewSession:
    with opened(settings) as catalog:
        return sign_in(catalog, asked.name, asked.password.get_secret_value(), address, settings.session_hours)


class Ways(Record):
    """How persons sign in here. oidc: the name of the OpenID provider's page, null without a provider."""

    password: bool = True
    oidc: str | None = None


class Device(BaseModel):
    """The device code of a sign-in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str = Field(max_length=8192, description="`device` from the answer that created the code.")


class Waiting(Record):
    """A code that has not been typed yet."""

    state: str = "pending"


def _oidc(request: Request) -> OidcSignIn:
    oidc: OidcSignIn = request.app.state.oidc
    return oidc


Oidc = Annotated[OidcSignIn, Depends(_oidc)]


@router.get("/session/ways")
async def ways_to_sign_in(oidc: Oidc) -> Ways:
    """Say how persons sign in here."""
    return Ways(oidc=oidc.title or None)


@router.post("/session/device")
async def begin_device_sign_in(request: Request, oidc: Oidc, address: Annotated[str, Depends(_address)]) -> DeviceCode:
    """Create a code that a person types at the provider's page, for a program without a browser."""
    _take(request, address)
    return await oidc.begin_device()


@router.post(
    "/session/device/token",
    response_model=NewSession,
    responses={202: {"model": Waiting, "description": "Nobody has typed the code yet: ask again after the interval."}},
)
async def end_device_sign_in(
    asked: Device, request: Request, oidc: Oidc, address: Annotated[str, Depends(_address)]
) -> Response:
    """Begin the session of the person who typed the code. The token is shown only once."""
    _take(request, address)
    session = await oidc.end_device(asked.device, address)
    if session is None:
        return JSONResponse(Waiting().model_dump(mode="json"), 202)
    return JSONResponse(session.model_dump(mode="json"))


def _take(request: Request, address: str) -> None:
    rates: Rates = request.app.state.device_rates
    rates.take(address)


@router.delete("/session", status_code=204, response_class=Response)
async def end_session(who: Who, settings: Here) -> None:
    """Sign out: end the session. A token is not affected."""
    await catalogs(_sign_out, settings, who)


def _sign_out(settings: Settings, who: SignedIn) -> None:
    with opened(settings, who) as catalog:
        sign_out(catalog, who)


@router.get("/whoami")
async def whoami(who: Who) -> WhoAmI:
    """Show the caller's identity."""
    one = who.identity
    return WhoAmI(
        name=one.name,
        kind=one.kind,
        account=one.account,
        projects=one.projects,
        role=one.role,
        scope=who.scope,
        expires_at=who.expires_at,
    )
