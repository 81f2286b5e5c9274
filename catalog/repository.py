"""The catalog: reading, and changes in one transaction each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Self

from catalog.change import Change
from catalog.reading import Reading
from catalog.store import Store


class Catalog(Reading):
    """What we know. Thread-safe; close it, or use it as a context manager."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        super().__init__(store.reading, clock, store.page_size)
        self._store = store

    @contextmanager
    def changing(self, actor: str, run_id: str | None = None) -> Iterator[Change]:
        """Change records in one transaction: committed at the end of the block, nothing of it on an exception.

        Others that want to change something wait, so keep it short and never move bytes inside.
        """
        with self._store.writing() as transaction:
            yield Change(transaction, self._clock, self._page_size, actor, run_id)

    def close(self) -> None:
        """Let go of the database."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
