"""The catalog floor: records, rules, the repository that stores them, the event log and data quality."""

import os
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog

__all__ = ["open_catalog"]

# We do no linear algebra; without this, importing numpy starts a thread per core that spins for a tenth of a second.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def open_catalog(
    url: str | None = None, *, clock: "Callable[[], datetime] | None" = None, strict: bool = False
) -> "Catalog":
    """Open the catalog; use it as a context manager.

    url: SQLAlchemy URL of SQLite or PostgreSQL, or `memory://` for one that ends with the process; None: the settings.
    clock: returns timezone-aware UTC; None: the database's own, for SQLite this host's. strict: an unreadable row ends
    a listing; otherwise the row is logged, named in the catalog's `unreadable`, and left out. Raises
    CatalogUnavailable, CatalogOutdated, InvalidRequest for any other URL.
    """
    from catalog.repository.opening import open_at  # imported here so that `import catalog` is cheap

    return open_at(url, clock, strict=strict)
