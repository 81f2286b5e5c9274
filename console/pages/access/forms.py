"""The forms of the page *Access*, and the requests that they make to the same functions as the API."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from catalog.records import Identity, IdentityKind, Role
from catalog.rules.accounts.roles import roles_up_to, scope_of
from catalog.rules.accounts.sign_in import LONGEST, LONGEST_TOKEN_NAME
from flows.requests.form import at, plain_options
from flows.requests.identities import AddIdentity, AddRobot, ChangeIdentity, CreateToken

LONGEST_TOKEN_DAYS = 3650
USUAL: Mapping[str, object] = {"days": 90, "role": "viewer"}
"""First values of a form: few rights for a short time."""
NAME = "Letters, digits and . _ @ + -, the first a letter or digit."
ROLES = "viewer reads, user works within the account, admin administers."
DAYS = f"1 to {LONGEST_TOKEN_DAYS}; from then on it is refused."


class AccessForm(BaseModel):
    """What these share. Nothing is stripped: the spaces of a password are part of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra=plain_options)


class TokenForm(AccessForm):
    """A program that has the token is known as who it is of. It may do what the role says, and never more than its owner."""

    name: str = Field(**at(0, "Name", "What it is for, such as nightly builds.", max_length=LONGEST_TOKEN_NAME))
    role: Role = Field(**at(1, "Role", ROLES))
    days: int = Field(**at(2, "Days of validity", DAYS, ge=1, le=LONGEST_TOKEN_DAYS))

    def asked(self, owner: Identity, now: datetime) -> CreateToken:
        """Return the request. Raises InvalidRequest for a role above the owner's."""
        scope, until = scope_of(self.role, owner.role), now + timedelta(days=self.days)
        return CreateToken(identity=owner.name, name=self.name, scope=scope, expires_at=until)


class RobotForm(AccessForm):
    """A robot is a program with a name of its own: it has tokens and no password, and the log tells what it did."""

    name: str = Field(**at(0, "Name of the robot", NAME))
    account: str = Field(**at(1, "Account", "Account that it belongs to."))
    role: Role = Field(**at(2, "Role", ROLES))
    days: int = Field(**at(3, "Days of validity", DAYS, ge=1, le=LONGEST_TOKEN_DAYS))

    def asked(self, now: datetime) -> AddRobot:
        """Return the request."""
        until = now + timedelta(days=self.days)
        return AddRobot(name=self.name, account=self.account, role=self.role, expires_at=until)


class PersonForm(AccessForm):
    """A person signs in with name and password."""

    name: str = Field(**at(0, "Name", NAME))
    account: str = Field(**at(1, "Account", "Account that it belongs to."))
    role: Role = Field(**at(2, "Role", ROLES))
    password: SecretStr = Field(**at(3, "Password", "8 characters or more.", max_length=LONGEST))

    def asked(self) -> AddIdentity:
        """Return the request."""
        return AddIdentity(name=self.name, account=self.account, role=self.role, kind="person", password=self.password)


class ChangeForm(AccessForm):
    """It holds at once, also for tokens and for whoever is signed in."""

    role: Role | None = Field(None, **at(0, "Role", ROLES))
    account: str | None = Field(None, **at(1, "Account", "Account that it belongs to."))
    projects: tuple[str, ...] | None = Field(
        None, **at(2, "Projects", "Projects that it belongs to; empty: those of its account.")
    )
    clear: tuple[Literal["projects"], ...] = Field((), **at(3, "Clear", "Fields that are emptied."))
    disabled: bool | None = Field(None, **at(4, "Disabled", "Kept out: sessions end, tokens are refused."))

    def asked(self) -> ChangeIdentity:
        """Return the request, with changed fields only."""
        given = self.model_dump(exclude_unset=True, exclude={"clear"})
        return ChangeIdentity.model_validate({**given, **dict.fromkeys(self.clear, ())})


class PasswordForm(AccessForm):
    """A new password ends all sessions."""

    password: SecretStr = Field(**at(1, "New password", "8 characters or more.", max_length=LONGEST))

    def asked(self) -> ChangeIdentity:
        """Return the request."""
        return ChangeIdentity(password=self.password)


class OwnPasswordForm(PasswordForm):
    """A new password ends all sessions, also this one."""

    current_password: SecretStr = Field(**at(0, "Present password", "As it is now.", max_length=LONGEST))

    def asked(self) -> ChangeIdentity:
        """Return the request."""
        return ChangeIdentity(password=self.password, current_password=self.current_password)


@dataclass(frozen=True, slots=True)
class Form:
    """A form.

    title: of its dialog and its button; send: method and path, with `{name}` for its subject; kinds: of possible subjects.
    """

    title: str
    model: type[AccessForm]
    send: str
    kinds: tuple[IdentityKind, ...] = ()
    leaves_out: tuple[str, ...] = ()


BOTH: tuple[IdentityKind, ...] = ("person", "robot")
FORMS: Mapping[str, Form] = {
    "robot": Form("Give a robot a token", RobotForm, "POST /access/robots"),
    "person": Form("Add a person", PersonForm, "POST /access/persons"),
    "token": Form("Make a token", TokenForm, "POST /access/identities/{name}/tokens", BOTH),
    "change": Form("Change", ChangeForm, "PATCH /access/identities/{name}", BOTH, ("disabled",)),
    "reset-password": Form("Reset password", PasswordForm, "POST /access/identities/{name}/password", ("person",)),
    "change-password": Form("Change password", OwnPasswordForm, "POST /access/password", ("person",)),
}
"""Every form of the page, by its name in addresses. Those with `kinds` are about an existing identity."""


def begins_with(form: Form, owner: Identity | None) -> Mapping[str, object]:
    """Return a form's present values."""
    if owner is None or form.model is not ChangeForm:
        return {}
    return {"role": owner.role, "account": owner.account, "projects": owner.projects}


def choices_of(form: Form, owner: Identity | None) -> Mapping[str, tuple[str, ...]]:
    """Return the choices that depend on the form's subject: no token has more rights than its owner."""
    return {"role": roles_up_to(owner.role)} if owner is not None and form.model is TokenForm else {}
