"""Persons, robots and tokens of a service, and who oneself is there."""

import time
from collections.abc import Mapping
from datetime import datetime

from catalog.records import DeviceCode, Identity, IdentityKind, ListedToken, NewSession, NewToken, Role, Scope, Token
from flows.client.connection import Connection, segment
from flows.client.errors import NO_SUCH_PATH, CodeExpired, NotOffered, ServiceRefused, ServiceUnreachable
from flows.client.listings import gathered
from flows.client.parsing import parsed
from flows.client.records import WhoAmI

NOBODY_YET = 202
"""Status of an answer about a code that nobody has typed yet."""
LONGEST_S = 60


def signed_in(connection: Connection, name: str, password: str) -> NewSession:
    """Begin a session. Raises SignInFailed, SignInLimited."""
    path = "/session"
    said = connection.ask("POST", path, body={"name": name, "password": password}).value
    return parsed(NewSession, said, connection.address(path))


def device_code(connection: Connection) -> DeviceCode:
    """Have the service's OpenID provider make a code that a person types at its page. Raises NotOffered."""
    path = "/session/device"
    try:
        said = connection.ask("POST", path).value
    except ServiceRefused as error:
        if error.status != NO_SUCH_PATH:
            raise
        raise NotOffered(connection.url, "a sign-in by OpenID Connect") from error
    return parsed(DeviceCode, said, connection.address(path))


def signed_in_by_code(connection: Connection, code: DeviceCode) -> NewSession:
    """Return the session of whoever types a code, once they did. Raises CodeExpired, and what the service refuses with."""
    path, until = "/session/device/token", time.monotonic() + code.expires_in
    while time.monotonic() < until:
        try:
            answer = connection.ask("POST", path, body={"device": code.device})
            if answer.status != NOBODY_YET:
                return parsed(NewSession, answer.value, connection.address(path))
        except ServiceUnreachable as error:
            if not error.was_reached:
                raise
        time.sleep(min(max(code.interval, 1), LONGEST_S))
    raise CodeExpired(connection.url, code.user_code)


def sign_out(connection: Connection) -> None:
    """End the session whose token asks."""
    connection.ask("DELETE", "/session")


def whoami(connection: Connection) -> WhoAmI:
    """Return who asks. Raises NotSignedIn."""
    return parsed(WhoAmI, connection.ask("GET", "/whoami").value, connection.address("/whoami"))


class ServicePeople:
    """What administrators do about identities and tokens."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def identities(self) -> tuple[Identity, ...]:
        """List persons and robots."""
        return gathered(self.connection, "/identities", Identity)

    def add_identity(
        self,
        name: str,
        account: str,
        *,
        role: Role = "viewer",
        projects: tuple[str, ...] = (),
        kind: IdentityKind = "person",
        password: str | None = None,
    ) -> Identity:
        """Add a person or robot. Raises IdentityExists, InvalidRequest, NotAllowed."""
        asked = {
            "name": name,
            "account": account,
            "role": role,
            "projects": projects,
            "kind": kind,
            "password": password,
        }
        return parsed(Identity, self._ask("POST", "/identities", asked), self.connection.address("/identities"))

    def change_identity(self, name: str, changes: Mapping[str, object], password: str | None = None) -> Identity:
        """Change a person or robot; what is not given stays. Raises IdentityNotFound, LastAdministrator."""
        path = f"/identities/{segment(name)}"
        asked = {**changes, **({"password": password} if password is not None else {})}
        return parsed(Identity, self._ask("PATCH", path, asked), self.connection.address(path))

    def tokens(self, identity: str | None = None) -> tuple[ListedToken, ...]:
        """List tokens, newest first."""
        return gathered(self.connection, "/tokens", ListedToken, {"identity": identity})

    def create_token(self, identity: str, scope: Scope, expires_at: datetime | None, name: str = "") -> NewToken:
        """Make a token. It is shown this once. name: what it is for; a service before schema 0015 takes none."""
        until = expires_at.isoformat() if expires_at else None
        asked = {"identity": identity, "scope": scope.model_dump(mode="json"), "expires_at": until}
        asked |= {"name": name} if name else {}
        return parsed(NewToken, self._ask("POST", "/tokens", asked), self.connection.address("/tokens"))

    def revoke_token(self, token_id: str) -> Token:
        """Revoke a token. Raises TokenNotFound."""
        path = f"/tokens/{segment(token_id)}"
        return parsed(Token, self._ask("DELETE", path, None), self.connection.address(path))

    def _ask(self, method: str, path: str, body: object) -> object:
        return self.connection.ask(method, path, body=body).value
