"""Commands about persons, robots and tokens of this host or a service: `imagewright identity …`, `imagewright token …`.

A password is never an argument, which every user of the host could read: it is prompted for, or read from standard
input.
"""

import getpass
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from catalog.errors import InvalidRequest
from catalog.records import IdentityKind, Record, Role, Scope, Verb
from flows.command.afar.chosen import service
from flows.command.moments import moment
from flows.command.output import print_json, print_record, print_table

if TYPE_CHECKING:
    from flows.client.people import ServicePeople
    from flows.command.here.people import CatalogPeople

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print exactly one JSON document.")]
Name = Annotated[str, Parameter(help="Name of the person or robot.")]
Stdin = Annotated[bool, Parameter(negative="", help="Read the password from standard input, its first line.")]
identity = App(name="identity", help="Persons and robots: who may sign in, and what they may do.")
token = App(name="token", help="Tokens, which identify programs.")


@contextmanager
def _opened() -> "Iterator[CatalogPeople | ServicePeople]":
    """Open the named service, else this host's catalog."""
    if asked := service():
        with asked as client:
            yield client.people
        return
    from flows.command.here.people import people_here

    with people_here() as people:
        yield people


@identity.command(name="add")
def add(
    name: Name,
    *,
    account: Annotated[str, Parameter(help="Account that it belongs to.")],
    role: Annotated[Role, Parameter(help="viewer reads, user works within the account, admin administers.")] = "viewer",
    project: Annotated[tuple[str, ...], Parameter(negative="", help="Project that it belongs to.")] = (),
    robot: Annotated[bool, Parameter(negative="", help="It has tokens only, and no password.")] = False,
    password_stdin: Stdin = False,
    as_json: Json = False,
) -> None:
    """Add a person, whose password is asked for, or a robot."""
    password = None if robot else _new_password(from_stdin=password_stdin)
    kind: IdentityKind = "robot" if robot else "person"
    with _opened() as people:
        added = people.add_identity(name, account, role=role, projects=project, kind=kind, password=password)
        _say(added, as_json=as_json)


@identity.command(name="list")
def list_identities(*, as_json: Json = False) -> None:
    """List persons and robots."""
    with _opened() as people:
        _list(people.identities(), ("name", "kind", "account", "projects", "role", "disabled"), as_json=as_json)


@identity.command(name="change")
def change(
    name: Name,
    *,
    account: Annotated[str | None, Parameter(help="Another account.")] = None,
    role: Annotated[Role | None, Parameter(help="Another role.")] = None,
    project: Annotated[
        tuple[str, ...] | None, Parameter(negative="", help="Its projects from now on, replacing the present ones.")
    ] = None,
    enable: Annotated[bool, Parameter(negative="", help="Enable it again.")] = False,
    password: Annotated[bool, Parameter(negative="", help="Ask for a new password; it ends all sessions.")] = False,
    password_stdin: Stdin = False,
    as_json: Json = False,
) -> None:
    """Change a person or robot; what is not given stays."""
    given = {"account": account, "role": role, "projects": project, "disabled": False if enable else None}
    changes = {field: value for field, value in given.items() if value is not None}
    new = _new_password(from_stdin=password_stdin) if password or password_stdin else None
    if not changes and new is None:
        raise InvalidRequest("change", "nothing", "--account, --role, --project, --enable or --password")
    with _opened() as people:
        _say(people.change_identity(name, changes, new), as_json=as_json)


@identity.command(name="disable")
def disable(name: Name, *, as_json: Json = False) -> None:
    """Disable a person or robot: its sessions end and its tokens are refused."""
    with _opened() as people:
        _say(people.change_identity(name, {"disabled": True}), as_json=as_json)


@token.command(name="create")
def create_token(
    identity: Name,
    *,
    verb: Annotated[
        tuple[Verb, ...], Parameter(negative="", help="What it may do; left out: everything that the role allows.")
    ] = (),
    image: Annotated[
        tuple[str, ...], Parameter(negative="", help="Pattern of the image names that it is limited to.")
    ] = (),
    family: Annotated[tuple[str, ...], Parameter(negative="", help="Family that it is limited to.")] = (),
    expires_at: Annotated[str | None, Parameter(help="A moment such as 2027-03-01T12:00:00Z; left out: never.")] = None,
    called: Annotated[str, Parameter(name="--name", help="What it is for, at most 64 characters.")] = "",
    as_json: Json = False,
) -> None:
    """Create a token. It is shown only once."""
    scope = Scope(verbs=verb, images=image, families=family)
    until = moment("expires_at", expires_at) if expires_at else None
    with _opened() as people:
        _say(people.create_token(identity, scope, until, called), as_json=as_json)


@token.command(name="list")
def list_tokens(
    *,
    identity: Annotated[str | None, Parameter(help="Only tokens of this person or robot.")] = None,
    as_json: Json = False,
) -> None:
    """List tokens, newest first, with their last use; never their secrets."""
    with _opened() as people:
        columns = ("id", "name", "identity", "scope", "expires_at", "revoked_at", "last_used_at")
        _list(people.tokens(identity), columns, as_json=as_json)


@token.command(name="revoke")
def revoke_token(
    token_id: Annotated[str, Parameter(help="Id of the token, as `imagewright token list` shows it.")],
    *,
    as_json: Json = False,
) -> None:
    """Revoke a token, which is refused from then on."""
    with _opened() as people:
        _say(people.revoke_token(token_id), as_json=as_json)


def _new_password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise InvalidRequest(
            "password", None, "--password-stdin where there is no terminal to ask on; --robot for none"
        )
    first = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != first:
        raise InvalidRequest("password", "two different ones", "the same twice")
    return first


def _say(record: Record, *, as_json: bool) -> None:
    print_json(record) if as_json else print_record(record)


def _list(records: Iterable[Record], columns: tuple[str, ...], *, as_json: bool) -> None:
    print_json(records) if as_json else print_table(records, columns)
