"""Sign in at a service, and out: `imagewright login`, `logout`, `whoami`.

A password is never an argument, which every user of the machine could read: it is prompted for, or read from standard
input.
"""

import getpass
import json
import sys
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from catalog.errors import ImagewrightError, InvalidRequest, NotSignedIn
from catalog.settings import Settings, load_settings, service_named
from flows.client.address import Login, forget, is_in_the_open, keep, kept_login, service_url
from flows.command.afar.chosen import needed_service
from flows.command.output import print_json, print_record

if TYPE_CHECKING:
    from flows.client.records import WhoAmI

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print exactly one JSON document.")]
TOKEN = "Sign in with a token: IMAGEWRIGHT_TOKEN, or what is asked for or read from standard input."  # noqa: S105


def login(
    url: Annotated[str, Parameter(help="Address of the service, such as https://images.example.")],
    given: Annotated[str | None, Parameter(name="TOKEN", help="A token, with --token before it.")] = None,
    /,
    *,
    token: Annotated[bool, Parameter(negative="", help=TOKEN)] = False,
    oidc: Annotated[
        bool, Parameter(negative="", help="Sign in with the organisation's OpenID Connect provider.")
    ] = False,
    name: Annotated[str | None, Parameter(help="Name of the person; left out: it is asked for.")] = None,
    as_json: Json = False,
) -> None:
    """Sign in to a service with name and password or a token; every later command uses that service."""
    settings = load_settings()
    if given is not None and not token:
        raise InvalidRequest("login", "a second word", "one address; --token before a token")
    if given is not None and "://" in given:  # `login --token iw_… URL`
        url, given = given, url
    address = service_url("url", url)
    if oidc and token:
        raise InvalidRequest("login", "--token and --oidc", "one of them")
    if is_in_the_open(address):
        print(f"imagewright: {address} is not encrypted: who is on the way reads what is sent", file=sys.stderr)
    proof = Login(url=address, token=given or service_named()[1] or _secret("Token")) if token else None
    who = _kept(settings, proof or (_by_code(settings, address) if oidc else _by_password(settings, address, name)))
    print_json(who) if as_json else print(f"signed in at {address} as {who.name}, {who.role} of account {who.account}")


def _by_password(settings: Settings, address: str, name: str | None) -> Login:
    """Begin a session by name and password. Raises SignInFailed, SignInLimited."""
    from flows.client.connection import Connection
    from flows.client.people import signed_in

    person = name or _line("Name")
    session = signed_in(Connection(address, "", settings), person, _secret("Password"))
    return Login(url=address, token=session.token, is_session=True, expires_at=session.expires_at)


def _by_code(settings: Settings, address: str) -> Login:
    """Begin a session by a code that the user types at the OpenID provider's page. Raises CodeExpired, NotOffered."""
    from flows.client.connection import Connection
    from flows.client.people import device_code, signed_in_by_code
    from flows.client.problems import plain_text

    connection = Connection(address, "", settings)
    code = device_code(connection)
    page, typed = plain_text(code.verification_uri), plain_text(code.user_code)
    print(f"open {page} in a browser, on any machine, and type {typed}", file=sys.stderr)
    session = signed_in_by_code(connection, code)
    return Login(url=address, token=session.token, is_session=True, expires_at=session.expires_at)


def _kept(settings: Settings, proof: Login) -> "WhoAmI":
    """Save a login once the service accepts it; return its identity. Raises NotSignedIn."""
    from flows.client.connection import Connection
    from flows.client.people import whoami as who_is

    who = who_is(Connection(proof.url, proof.token, settings))
    keep(settings, proof.model_copy(update={"name": who.name, "expires_at": who.expires_at}))
    return who


def _line(what: str) -> str:
    """Return a line of standard input, with a prompt on a terminal. Raises InvalidRequest if it is empty."""
    if sys.stdin.isatty():
        print(f"{what}: ", end="", file=sys.stderr, flush=True)
    return _required(what, sys.stdin.readline().rstrip("\r\n"))


def _secret(what: str) -> str:
    return _required(what, getpass.getpass(f"{what}: ")) if sys.stdin.isatty() else _line(what)


def _required(what: str, given: str) -> str:
    if not given:
        raise InvalidRequest(what.lower(), None, f"a {what.lower()}, on the terminal or as a line of standard input")
    return given


def logout(*, as_json: Json = False) -> None:
    """Sign out: end the session and delete the saved token; commands use this host's own catalog again."""
    settings = load_settings()
    kept = kept_login(settings)
    if kept is not None and kept.is_session:
        _end_session(settings, kept)
    forget(settings)
    if as_json:
        print(json.dumps({"url": kept.url if kept else None}))
    else:
        print(f"signed out at {kept.url}" if kept else "nobody was signed in")


def _end_session(settings: Settings, kept: Login) -> None:
    """End a session at its service; if that fails, the session ends by itself."""
    from flows.client.connection import Connection
    from flows.client.people import sign_out

    try:
        sign_out(Connection(kept.url, kept.token, settings))
    except NotSignedIn:
        return  # it has ended already
    except ImagewrightError as error:
        print(f"imagewright: the session ends by itself at {kept.expires_at}: {error}", file=sys.stderr)


def whoami(*, as_json: Json = False) -> None:
    """Show your identity at the service that commands use, and what it may do there."""
    with needed_service() as client:
        who = client.whoami()
        print_json(who) if as_json else print_record(who)
        if not as_json:
            print(f"at {client.login.url}")
