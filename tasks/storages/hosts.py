"""Set the host of a registered directory, and prove that several hosts share one."""

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
    """Return the record with its host. Raises InvalidRequest for a shared storage that is not a directory.

    record: as requested; its host is the given one, else the one it had.
    """
    if record.shared and not record.url.startswith("file:"):
        raise InvalidRequest("shared", True, "false: only a directory is of one host, all others are reached by each")
    owner = owner_of(record, record.host, settings.host_name, hosts=settings.catalog_is_shared)
    return record.model_copy(update={"host": owner})


def share(catalog: "Catalog", known: Storage | None, asked: Storage, account: str) -> None:
    """Write the token into a newly shared directory: other hosts must find it there before they use it."""
    if not asked.shared or (known and known.shared):
        return
    from storage.shared_folder import leave_token

    with changing(catalog, account) as change:
        token = change.shared_key(share_of(asked), secrets.token_hex(16))
    leave_token(asked, token)
