"""Where the Prefect server's garbage is collected, and what it would stop."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FORGETS_A_CURSOR = """
import asyncio, gc, sqlite3, sys
from flows.server.garbage import collect_elsewhere

def connection():
    return sqlite3.connect(sys.argv[1], timeout=4, isolation_level=None, check_same_thread=False)

waits, holds = connection(), connection()
waits.execute("pragma journal_mode=wal")
waits.execute("create table t (n int)")
waits.execute("insert into t values (1), (2)")

class Cycle:
    def __init__(self):
        self.itself, self.cursor = self, waits.execute("values (1), (2)")
        self.cursor.fetchone()  # there is another row, and no table that keeps others waiting

async def main():
    holds.execute("begin immediate")
    writing = asyncio.ensure_future(asyncio.to_thread(waits.execute, "insert into t values (3)"))
    await asyncio.sleep(0.3)  # it waits inside SQLite, and has its connection for itself
    if sys.argv[2] == "elsewhere":
        collect_elsewhere()
    else:
        gc.enable()
    kept = [[] for _ in range(100_000)]  # whoever allocates collects
    await asyncio.sleep(0.8)  # the thread collects, too
    holds.execute("commit")
    try:
        await writing
    except (sqlite3.OperationalError, SystemError):  # the reset clears the connection's message, at times its code
        sys.exit("the write failed")

gc.disable()
Cycle()
asyncio.run(main())
"""


@pytest.mark.parametrize(("collected", "ended"), [("elsewhere", 0), ("here", 1)])
def test_a_forgotten_cursor_stops_the_loop_only_where_the_loop_collects(
    tmp_path: Path, collected: str, ended: int
) -> None:
    command = [sys.executable, "-c", FORGETS_A_CURSOR, str(tmp_path / "x.db"), collected]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (ended, "the write failed\n" if ended else "")
