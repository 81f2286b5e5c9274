"""Make writers of Prefect's SQLite database take turns inside the server, instead of waiting for each other in SQLite.

SQLite has one writer. A transaction that meets another one waits inside the library, up to a minute (Prefect's
busy_timeout), and was seen to block the event loop for the very task that it waited for: then nothing is written for
that minute, and all waiting transactions fail. Taking turns, they wait while the loop goes on.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.database.dependencies import MODELS_DEPENDENCIES
from prefect.server.utilities.database import get_dialect
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

PATIENCE_S = 30.0
"""Longest wait for a turn; afterwards a transaction begins as in plain Prefect: the turn's holder may wait for it."""
log = logging.getLogger("imagewright.server")


@dataclass
class _Turn:
    lasts: bool = True


_turn: ContextVar[_Turn | None] = ContextVar("turn", default=None)


class TakingTurns(AioSqliteConfiguration):
    """Prefect's SQLite configuration with one transaction at a time in each event loop."""

    def __init__(self, connection_url: str, patience_s: float = PATIENCE_S) -> None:
        super().__init__(connection_url=connection_url)
        self._patience_s = patience_s
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    @asynccontextmanager
    async def begin_transaction(
        self, session: AsyncSession, with_for_update: bool = False
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        """Begin a transaction at its turn; a nested transaction belongs to the turn of the outer one."""
        outer = _turn.get()
        if outer is not None and outer.lasts:
            async with super().begin_transaction(session, with_for_update) as transaction:
                yield transaction
            return
        async with self._its_turn(), super().begin_transaction(session, with_for_update) as transaction:
            yield transaction

    @asynccontextmanager
    async def _its_turn(self) -> AsyncGenerator[None, None]:
        lock = self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        turn, taken = _Turn(), await _acquired(lock, self._patience_s)
        token = _turn.set(turn)
        try:
            yield
        finally:
            turn.lasts = False
            _turn.reset(token)
            if taken:
                lock.release()


async def _acquired(lock: asyncio.Lock, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            return await lock.acquire()
    except TimeoutError:
        log.warning(
            "a transaction of Prefect's database waited %s s for the one before it, and goes on beside it", within_s
        )
        return False


def take_turns() -> None:
    """Make this process's Prefect server take turns, if its database is SQLite."""
    url = PREFECT_API_DATABASE_CONNECTION_URL.value()
    if get_dialect(url).name == "sqlite":
        MODELS_DEPENDENCIES["database_config"] = TakingTurns(url)
