"""Writers of Prefect's SQLite take turns: nobody meets another inside SQLite, nested ones pass, a stuck one holds nobody for ever."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from prefect.server.database import configurations
from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from flows.server.turns import TakingTurns

ADD_ONE = sa.text("update t set n = n + 1")
ROUNDS = 20


async def prepared(configuration: AioSqliteConfiguration) -> AioSqliteConfiguration:
    """Make a table with one number; from then on no connection waits inside SQLite: who meets another fails at once."""
    engine = await configuration.engine()
    async with engine.begin() as connection:
        await connection.execute(sa.text("create table t (n int)"))
        await connection.execute(sa.text("insert into t values (0)"))
    await engine.dispose()
    event.listen(engine.sync_engine, "begin", lambda conn: conn.exec_driver_sql("PRAGMA busy_timeout = 0"), insert=True)
    return configuration


@asynccontextmanager
async def transaction(configuration: AioSqliteConfiguration, *, immediate: bool = False) -> AsyncIterator[AsyncSession]:
    session = await configuration.session(await configuration.engine())
    async with session, configuration.begin_transaction(session, with_for_update=immediate):
        yield session


async def write(configuration: AioSqliteConfiguration, immediate: bool) -> None:
    async with transaction(configuration, immediate=immediate) as session:
        await session.execute(ADD_ONE)
        await asyncio.sleep(0.001)  # as between two statements of Prefect's


async def count(configuration: AioSqliteConfiguration) -> int:
    async with await configuration.session(await configuration.engine()) as session:
        return int((await session.execute(sa.text("select n from t"))).scalar_one())


async def all_write(configuration: AioSqliteConfiguration) -> int:
    await prepared(configuration)
    await asyncio.gather(*(write(configuration, bool(number % 2)) for number in range(ROUNDS)))
    return await count(configuration)


def run(work: Callable[[], Awaitable[int]]) -> int:
    async def main() -> int:
        try:
            return await work()
        finally:
            for engine in list(configurations.ENGINES.values()):
                await engine.dispose()
            configurations.ENGINES.clear()

    return asyncio.run(main())


def test_writers_that_take_turns_never_meet(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}"
    assert run(lambda: all_write(TakingTurns(url))) == ROUNDS


def test_without_turns_they_meet(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}"
    with pytest.raises(OperationalError, match="database is locked"):
        run(lambda: all_write(AioSqliteConfiguration(url)))


def test_a_transaction_within_a_transaction_passes(tmp_path: Path) -> None:
    async def nested() -> int:
        configuration = TakingTurns(f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}", patience_s=3600)
        await prepared(configuration)
        async with transaction(configuration), asyncio.timeout(60):
            await asyncio.gather(write(configuration, immediate=True))
        return await count(configuration)

    assert run(nested) == 1


def test_one_that_never_ends_is_waited_for_only_so_long(tmp_path: Path) -> None:
    async def stuck() -> int:
        configuration = TakingTurns(f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}", patience_s=0.05)
        await prepared(configuration)
        begun = asyncio.Event()
        holder = asyncio.create_task(hold(configuration, begun))
        await begun.wait()
        await write(configuration, immediate=True)  # the holder has written nothing: SQLite lets it through
        holder.cancel()
        await asyncio.gather(holder, return_exceptions=True)
        await write(configuration, immediate=True)
        return await count(configuration)

    async def hold(configuration: TakingTurns, begun: asyncio.Event) -> None:
        async with transaction(configuration):
            begun.set()
            await asyncio.sleep(3600)

    assert run(stuck) == 2


def test_a_task_begun_in_a_transaction_takes_turns_after_it(tmp_path: Path) -> None:
    async def later() -> int:
        configuration = TakingTurns(f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}")
        await prepared(configuration)
        over = asyncio.Event()

        async def after() -> None:
            await over.wait()
            await asyncio.gather(*(write(configuration, immediate=True) for _ in range(ROUNDS)))

        async with transaction(configuration):
            heir = asyncio.create_task(after())
        over.set()
        await asyncio.gather(heir, *(write(configuration, immediate=True) for _ in range(ROUNDS)))
        return await count(configuration)

    assert run(later) == 2 * ROUNDS
