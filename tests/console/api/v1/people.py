"""Those who ask: each kind of person and robot, with a token."""

from collections.abc import Mapping
from datetime import timedelta

from starlette.testclient import TestClient

from catalog import open_catalog
from catalog.records import Scope
from catalog.repository.catalog import Catalog
from catalog.repository.identities import registering
from catalog.settings import load_settings
from console.app import create_app

PASSWORD = "correct horse 7"
AUTH = "imagewright:operators"
ROLES = {
    "root": ("admin", "admin"), "viewer": ("team", "viewer"), "user": ("team", "user"), "other": ("others", "user"),
    "disabled": ("team", "user"),
}  # fmt: skip


def service(host: str = "192.0.2.7", **options: object) -> TestClient:
    """Return a client of the whole console, as one that calls from an address."""
    app = create_app(load_settings(), AUTH)
    return TestClient(app, base_url="http://127.0.0.1", client=(host, 50000), **options)  # type: ignore[arg-type]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def everybody() -> Mapping[str, dict[str, str]]:
    """Make each kind of person and robot; return the headers by which they are known."""
    with open_catalog() as catalog:
        for name, (account, role) in ROLES.items():
            registering.add(catalog, "admin", name, account, role=role, password=PASSWORD)  # type: ignore[arg-type]
        tokens = {name: _token(catalog, name) for name in ROLES}
        registering.change(catalog, "admin", "disabled", {"disabled": True})
        registering.add(catalog, "admin", "robot", "team", role="user")
        tokens["scoped robot"] = _token(catalog, "robot", Scope(images=("ci-*",)))
        tokens["expired robot"] = _expired(catalog)
    return {"nobody": {}, **{name: bearer(token) for name, token in tokens.items()}}


def _token(catalog: Catalog, name: str, scope: Scope | None = None) -> str:
    return registering.create_token(catalog, "admin", "root", name, scope or Scope(), None).token


def _expired(catalog: Catalog) -> str:
    soon = catalog.now() + timedelta(hours=1)
    made = registering.create_token(catalog, "admin", "root", "robot", Scope(), soon)
    from catalog.store import record_kinds

    with catalog.changing("admin") as change:
        token = change._get(record_kinds.TOKEN, made.id)
        assert token is not None
        old = token.model_copy(update={"expires_at": catalog.now() - timedelta(seconds=1)})
        change._save(record_kinds.TOKEN, old, None)
    return made.token
