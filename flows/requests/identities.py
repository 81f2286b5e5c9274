"""Persons, robots and tokens: what is asked of the service, and of the commands.

No flow takes these: a password is nobody's parameter to keep.
"""

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SecretStr

from catalog.records import IdentityKind, Role, Scope


class Asked(BaseModel):
    """What these share."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SignIn(Asked):
    """Begin a session."""

    name: str = Field(max_length=256)
    password: SecretStr = Field(max_length=4096)


class Setup(SignIn):
    """Make the first administrator."""

    token: str = Field(max_length=256)


class AddIdentity(Asked):
    """Add a person, who signs in with a password, or a robot, which has tokens only."""

    name: str = Field(description="Letters, digits and . _ @ + -.")
    account: str = Field(description="Account that it belongs to.")
    projects: tuple[str, ...] = Field((), description="Projects that it belongs to; empty: those of its account.")
    role: Role = Field("viewer", description="viewer reads, user works within the account, admin administers.")
    kind: IdentityKind | None = Field(None, description="person or robot; left out: a person if there is a password.")
    password: SecretStr | None = Field(None, description="Of a person.")


class ChangeIdentity(Asked):
    """Change a person or robot; what is left out stays."""

    account: str | None = None
    projects: tuple[str, ...] | None = None
    role: Role | None = None
    disabled: bool | None = None
    password: SecretStr | None = Field(None, description="A new one; it ends all sessions.")
    current_password: SecretStr | None = Field(None, description="For whoever changes their own password.")


class CreateToken(Asked):
    """Make a token; it is shown once."""

    identity: str = Field(description="Whose it is.")
    name: str = Field("", description="What it is for, at most 64 characters.")
    scope: Scope = Field(default_factory=Scope, description="What it may do of what the identity may.")
    expires_at: AwareDatetime | None = Field(None, description="From then on it is refused; left out: never.")


class AddRobot(Asked):
    """Add a robot and make its first token, which is shown once: both, or neither."""

    name: str = Field(description="Letters, digits and . _ @ + -.")
    account: str = Field(description="Account that it belongs to.")
    role: Role = Field("viewer", description="viewer reads, user works within the account, admin administers.")
    scope: Scope = Field(default_factory=Scope, description="What the token may do of what the robot may.")
    expires_at: AwareDatetime | None = Field(None, description="From then on it is refused; left out: never.")
