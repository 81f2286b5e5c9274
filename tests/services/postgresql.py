"""A private PostgreSQL of this test process: Debian's own binaries, a socket in a folder of its own, no port."""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache, cached_property
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

INSTALL = "apt-get install postgresql"
FAST = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=64MB",
    "max_connections=100",
)
JANITOR = """
cat >/dev/null
for _ in $(seq 100); do [ -e "$1/data/postmaster.pid" ] || break; sleep 0.1; done
for _ in 1 2 3; do rm -rf "$1" && break; sleep 1; done
"""  # its input ends with us, however we end; then the server ends too (pdeathsig), and the folder goes
MEMORY = Path("/dev/shm")
ROOM_BYTES = 6 << 30
"""Twice what the databases of one process of the tests take together."""
_numbers = itertools.count()


def binaries() -> Path | None:
    """Return the folder of the newest installed server, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name))
    return found[-1] if found else None


def _as_server_user() -> list[str]:
    """Return what to put before a command: the server refuses to run as root, and must end when we do."""
    user = ["--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
    return ["setpriv", *user, "--pdeathsig=QUIT"]


def _memory() -> Path | None:
    """Return the folder of files in memory if there is room: a database of 300 files takes 25 ms there, 280 on many a disk."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM_BYTES else None


class PostgreSQL:
    """A running server; databases in it are made from an empty template."""

    def __init__(self, bin_folder: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg", dir=_memory()))
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self.folder.chmod(0o755)
        self._janitor = subprocess.Popen(
            ["sh", "-c", JANITOR, "janitor", str(self.folder)], stdin=subprocess.PIPE, start_new_session=True
        )
        self._initialise(bin_folder)
        self._bin_folder = bin_folder
        self.process = self._start(bin_folder)
        self._wait()

    def _initialise(self, bin_folder: Path) -> None:
        command = [
            *_as_server_user(), str(bin_folder / "initdb"), "-D", str(self.folder / "data"), "-U", "postgres",
            "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N",
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, timeout=60)

    def _start(self, bin_folder: Path) -> subprocess.Popen[bytes]:
        options = [part for setting in FAST for part in ("-c", setting)]
        command = [
            *_as_server_user(), str(bin_folder / "postgres"), "-D", str(self.folder / "data"),
            "-k", str(self.folder), "-c", "listen_addresses=", *options,
        ]  # fmt: skip
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                self._connect().close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise
                time.sleep(0.05)
            else:
                return

    def restart(self, away_s: float) -> None:
        """Stop the server as an upgrade does, cutting off whoever is connected, and start it again after so many seconds."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)
        time.sleep(away_s)
        self.process = self._start(self._bin_folder)
        self._wait()

    def _connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(host=str(self.folder), user="postgres", dbname="postgres", autocommit=True)

    def new_database(self, template: str = "template0") -> str:
        """Return the URL of a new database."""
        name = f"catalog_{next(_numbers)}"
        with self._connect() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def copied(self, name: str) -> str:
        """Return the URL of a new database that is as `name` is now; whoever is connected to that one is cut off."""
        with self._connect() as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        return self.new_database(name)

    @cached_property
    def template(self) -> str:
        """Name of a database with the catalog's tables: copying it is ten times quicker than making them."""
        from catalog.store.schema import prepare
        from catalog.store.sql import connect, parse

        url = parse(self.new_database())
        assert url is not None
        store = connect(url)
        prepare(store)
        store.close()
        return str(url.database)


@cache
def _shared() -> PostgreSQL:
    folder = binaries()
    assert folder is not None
    return PostgreSQL(folder)


def new_database(*, empty: bool = False) -> str:
    """Return the URL of a database on a server that all tests of this process share; skip if there is none.

    empty: without the catalog's tables.
    """
    if binaries() is None:
        pytest.skip(f"PostgreSQL is not installed ({INSTALL})")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed (apt-get install util-linux)")
    server = _shared()
    return server.new_database() if empty else server.new_database(server.template)


def restart(away_s: float) -> None:
    """Stop the shared server for so many seconds."""
    _shared().restart(away_s)


def copied(url: str) -> str:
    """Return the URL of a new database on the shared server, as the one of `url` is now."""
    return _shared().copied(urlsplit(url).path.lstrip("/"))


STORES = ("memory", "sqlite", "postgresql")  # what the catalog suites run against


def url_of(kind: str, folder: Path, *, empty: bool = False) -> str:
    """Return the URL of a new catalog of this kind."""
    if kind == "memory":
        return "memory://"
    return f"sqlite:///{folder / 'catalog.db'}" if kind == "sqlite" else new_database(empty=empty)
