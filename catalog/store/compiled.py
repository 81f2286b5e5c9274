"""A cache of compiled SQL, shared by all engines of a process for the same kind of database.

SQLAlchemy caches per engine. A catalog is opened for each request and by each step of a run, so every statement would
be compiled again, which takes longer than executing it.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, MutableMapping
from typing import cast

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Compiled
from sqlalchemy.util import LRUCache

MOST = 500
"""Most statements cached for a kind of database."""


class CompiledStatements(MutableMapping[Hashable, Compiled]):
    """A cache whose keys ignore the engine's own dialect object: a compiled statement fits all engines of its kind."""

    def __init__(self) -> None:
        self._kept = defaultdict[Hashable, LRUCache[Hashable, Compiled]](lambda: LRUCache(MOST))

    def __getitem__(self, key: Hashable) -> Compiled:
        kind, statement = _parts(key)
        return self._kept[kind][statement]

    def __setitem__(self, key: Hashable, compiled: Compiled) -> None:
        kind, statement = _parts(key)
        self._kept[kind][statement] = compiled

    def __delitem__(self, key: Hashable) -> None:
        kind, statement = _parts(key)
        del self._kept[kind][statement]

    def __iter__(self) -> Iterator[Hashable]:
        return (statement for kept in self._kept.values() for statement in kept)

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))


def _parts(key: Hashable) -> tuple[Hashable, Hashable]:
    dialect, *statement = cast("tuple[sa.Dialect, Hashable]", key)
    return (dialect.name, dialect.driver, dialect.server_version_info), tuple(statement)


STATEMENTS = CompiledStatements()
