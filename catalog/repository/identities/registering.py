"""Create and change persons, robots and tokens, for the service and for the commands of this host."""

from collections.abc import Mapping
from datetime import datetime

from catalog.errors import InvalidRequest
from catalog.records import Identity, IdentityKind, NewToken, Role, Scope, Token
from catalog.repository.catalog import Catalog
from catalog.repository.change import Change
from catalog.repository.identities import proofs
from catalog.rules.accounts.roles import check_scope
from catalog.rules.accounts.sharing import ADMIN
from catalog.rules.accounts.sign_in import check_name, check_names, check_password, check_token_name


def add(
    catalog: Catalog,
    actor: str,
    name: str,
    account: str,
    *,
    role: Role,
    projects: tuple[str, ...] = (),
    kind: IdentityKind | None = None,
    password: str | None = None,
    first: bool = False,
) -> Identity:
    """Add a person or robot; without a kind, a person if a password is given. first: refuse if any person exists.

    Raises InvalidRequest, IdentityExists.
    """
    kind = kind or ("robot" if password is None else "person")
    if kind == "robot" and password is not None:
        raise InvalidRequest("password", "one", "leave it out for a robot, which has tokens")
    kept = proofs.hashed(check_password(check_name(name), password)) if password is not None else None
    check_names(account, projects)
    with catalog.changing(actor) as change:
        if first and change.has_person():
            raise InvalidRequest("name", name, "there is a person already: an administrator adds others")
        now = change.now()
        identity = Identity(
            name=check_name(name),
            kind=kind,
            account=account,
            projects=tuple(sorted(set(projects))),
            role=role,
            created_at=now,
            updated_at=now,
        )
        return change.add_identity(identity, kept)


def change(
    catalog: Catalog, actor: str, name: str, changes: Mapping[str, object], password: str | None = None
) -> Identity:
    """Change the given fields and, if given, the password. Raises as `Change.change_identity`."""
    found = catalog.identity(name)
    if password is not None and found.kind == "robot":
        raise InvalidRequest("password", "one", "leave it out for a robot, which has tokens")
    kept = proofs.hashed(check_password(name, password)) if password is not None else None
    after = found.model_copy(update=dict(changes))
    check_names(after.account, after.projects)
    with catalog.changing(actor) as changing:
        return changing.change_identity(name, changes, kept)


def create_token(
    catalog: Catalog, actor: str, by: str, identity: str, scope: Scope, expires_at: datetime | None, name: str = ""
) -> NewToken:
    """Create a token of an identity. by: its maker; name: its purpose. Raises IdentityNotFound, InvalidRequest."""
    check_scope(scope)
    check_token_name(name)
    with catalog.changing(actor) as changing:
        return _with_token(changing, by, identity, scope, expires_at, name)


def add_robot(
    catalog: Catalog,
    actor: str,
    by: str,
    name: str,
    account: str,
    *,
    role: Role,
    scope: Scope,
    expires_at: datetime | None,
) -> NewToken:
    """Add a robot and its first token, both or neither. Raises as `add` and `create_token`."""
    check_scope(scope)
    check_names(account, ())
    with catalog.changing(actor) as changing:
        now = changing.now()
        robot = Identity(
            name=check_name(name), kind="robot", account=account, role=role, created_at=now, updated_at=now
        )
        changing.add_identity(robot)
        return _with_token(changing, by, name, scope, expires_at, "")


def _with_token(
    changing: Change, by: str, identity: str, scope: Scope, expires_at: datetime | None, name: str
) -> NewToken:
    """Create a token within a change."""
    now, secret = changing.now(), proofs.new_secret(proofs.TOKEN)
    if expires_at is not None and expires_at <= now:
        raise InvalidRequest("expires_at", expires_at.isoformat(), "a moment to come")
    token = Token(
        id=secret.id, name=name, identity=identity, scope=scope, created_by=by, created_at=now, expires_at=expires_at
    )
    return NewToken(**dict(changing.add_token(token, secret.digest)), token=secret.text)


def revoke_token(catalog: Catalog, actor: str, token_id: str) -> Token:
    """Revoke a token. Raises TokenNotFound."""
    with catalog.changing(actor) as changing:
        return changing.revoke_token(token_id)


def first_administrator(catalog: Catalog, name: str, password: str) -> Identity:
    """Create the first administrator. Raises InvalidRequest if there is a person already."""
    return add(catalog, ADMIN, name, ADMIN, role="admin", kind="person", password=password, first=True)
