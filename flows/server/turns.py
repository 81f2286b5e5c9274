"""Writers of Prefect's SQLite database take turns inside the server, instead of waiting for each other inside SQLite.

SQLite has one writer. A transaction that meets another waits inside the library, up to a minute (Prefect's busy_timeout), and was seen to keep
the event loop from the very task that it waited for: then nobody writes for that minute, and all who waited fail. Here they wait where the loop
goes on.
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
"""How long a transaction waits for its turn; one that gets none goes on as Prefect has it, since the holder may wait for it."""
log = logging.getLogger("imagewright.server")


@dataclass
class _Turn:
    lasts: bool = True


_turn: ContextVar[_Turn | None] = ContextVar("turn", default=None)


class TakingTurns(AioSqliteConfiguration):
    """Prefect's SQLite, of which one transaction at a time is begun in each event loop."""

    def __init__(self, connection_url: str, patience_s: float = PATIENCE_S) -> None:
        super().__init__(connection_url=connection_url)
        self._patience_s = patience_s
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    @asynccontextmanager
    async def begin_transaction(
        self, session: AsyncSession, with_for_update: bool = False
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        """Begin a transaction when it is its turn; one that a transaction begins while it lasts belongs to its turn."""
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
    """Make the Prefect server of this process take turns, where its database is SQLite."""
    url = PREFECT_API_DATABASE_CONNECTION_URL.value()
    if get_dialect(url).name == "sqlite":
        MODELS_DEPENDENCIES["database_config"] = TakingTurns(url)
