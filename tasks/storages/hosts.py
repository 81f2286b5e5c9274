"""Whose a directory is that is registered, and the proof that several hosts see it."""

import secrets
from typing import TYPE_CHECKING, TypeVar

from catalog.errors import InvalidRequest
from catalog.records import ImageStorage, PrimaryStorage
from catalog.rules.storages.hosts import owner_of, share_of
from catalog.settings import Settings
from tasks.runtime.resources import changing

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog

Storage = TypeVar("Storage", ImageStorage, PrimaryStorage)


def with_host(record: Storage, settings: Settings) -> Storage:
    """Return the record with the host it belongs to. Raises InvalidRequest for a shared one that is no directory.

    record: as asked for; its host is the one given, else the one it had.
    """
    if record.shared and not record.url.startswith("file:"):
        raise InvalidRequest("shared", True, "false: only a directory is of one host, all others are reached by each")
    owner = owner_of(record, record.host, settings.host_name, hosts=settings.catalog_is_shared)
    return record.model_copy(update={"host": owner})


def share(catalog: "Catalog", known: Storage | None, asked: Storage, account: str) -> None:
    """Leave the token in a directory that is shared from now on: whoever uses it elsewhere has to find it there."""
    if not asked.shared or (known and known.shared):
        return
    from storage.shared_folder import leave_token

    with changing(catalog, account) as change:
        token = change.shared_key(share_of(asked), secrets.token_hex(16))
    leave_token(asked, token)
