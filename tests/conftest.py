"""What every test may use: a home of its own, and a Prefect server for the tests marked `prefect`."""

import ctypes
import gc
import os
import shutil
import signal
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest

from catalog.settings import load_settings
from flows.server.same_catalog import remember_server

# What is loaded and collected stays to the end: looking through it again and again is a third of the time that it takes.
gc.disable()

# Plain functions of tasks emit events: without a server to talk to, Prefect would start one in this process.
os.environ.setdefault("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "false")

# A shell ignores Ctrl-C for what it starts in the background, and so would every program that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Thousands of catalogs are made: a reserve of 8 MiB beside each would fill the disk that it is for.
os.environ.setdefault("IMAGEWRIGHT_CATALOG_RESERVE_BYTES", "0")

# glibc raises the size from which it asks the kernel for memory to that of the largest block freed; what is smaller stays
# with the process for ever, and files of tests are that large. A size that was set stays: their bytes go back when freed.
LIBC = ctypes.CDLL(None)
LIBC.mallopt(-3, 1 << 20)  # M_MMAP_THRESHOLD

# Each thread that allocates gets an arena of its own, and what is freed there stays: two are enough for a test's servers.
LIBC.mallopt(-8, 2)  # M_ARENA_MAX

# What is asked is whether it is right: 200 ms for an example say how busy the machine is.
hypothesis.settings.register_profile("imagewright", deadline=None)
hypothesis.settings.load_profile("imagewright")

LOGGED = 30
"""Last lines of a server's log that are shown with a failure."""
SHOWN = 4000
"""Characters of a page that are shown with a failure."""
LONGEST_ID = 80

SERVER = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    # A few tests need these and start a server of their own; without them a flow test takes a third of the time.
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED": "false",
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
}


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Have Hypothesis list all characters, once in a checkout: it takes 200 MB for a moment, while nothing else is here."""
    if not hasattr(session.config, "workerinput"):
        hypothesis.strategies.characters(codec="utf-8").validate()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests marked `prefect` a Prefect server, one in each process of the tests."""
    for item in items:
        if item.get_closest_marker("prefect"):
            item.fixturenames.insert(0, "prefect_server")  # type: ignore[attr-defined]


def pytest_collection_finish() -> None:
    """From here on, look for garbage in what tests make, and not in the millions of objects that were there before."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name long bytes and texts by their place: an id of megabytes is kept by each process and sent with each report.

    Nothing of the value is in it: one made by chance differs between the processes, which must agree on ids.
    """
    return f"long-{argname}" if isinstance(val, bytes | str) and len(val) > LONGEST_ID else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a test that failed what the servers have logged that it ran against, and what a browser shows."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page") if report.failed and report.when == "call" else None
    if page is not None and hasattr(page, "locator"):
        report.sections.append((page.url, page.locator("body").inner_text(timeout=5000)[:SHOWN]))
    homes = (
        {getattr(value, "home", None) for value in getattr(item, "funcargs", {}).values()} if report.failed else set()
    )
    for log in (log for home in homes if isinstance(home, Path) for log in sorted(home.glob("logs/*.log"))):
        report.sections.append((str(log), "\n".join(log.read_text(errors="replace").splitlines()[-LOGGED:])))
    return report


def pytest_runtest_setup() -> None:
    """Have each test begin with a shell's mask: opening a catalog sets that of the process, and services drop to other users."""
    os.umask(0o022)


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Give back to the kernel, after each file of tests, what its tests gave back to the process."""
    if nextitem is None or nextitem.path != item.path:
        LIBC.malloc_trim(0)


@pytest.fixture(scope="session")
def empty_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a catalog that nobody has opened yet: making its tables takes longer than many tests."""
    from catalog.store.schema import prepare
    from catalog.store.sql import connect, parse

    file = tmp_path_factory.mktemp("catalog") / "catalog.db"
    url = parse(f"sqlite:///{file}")
    assert url is not None
    store = connect(url, 0)
    prepare(store)
    store.close()
    file.chmod(0o600)
    return file


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, empty_catalog: Path) -> Path:
    """Return an empty home that the settings name, with loopback sources and the test's folder allowed."""
    place = tmp_path / "home"
    memory = tmp_path / "memory"
    for folder in (place, memory):
        folder.mkdir(mode=0o700)
    shutil.copy(empty_catalog, place)
    socket = request.config.cache.mkdir("quality")  # shared: the agent loads for seconds
    for name, value in {
        "HOME": str(place),
        "RECEIVING": str(memory),
        "ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
        "FILE_ROOTS": str(tmp_path),
        "QUALITY_SOCKET": str(socket / "quality.sock"),
        "RETRY_DELAY_S": "0.05",
        "CATALOG_URL": "",
    }.items():
        monkeypatch.setenv(f"IMAGEWRIGHT_{name}", value)
    if server := os.environ.get("PREFECT_API_URL"):
        remember_server(load_settings(), server)  # the tests' one server works for every home in turn
    return place


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords as ever, but with little memory and one pass: what is asked is who comes in, not how long it takes."""
    from argon2 import PasswordHasher

    from catalog.repository.identities import proofs

    cheap = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(proofs, "_hasher", lambda: cheap)
    monkeypatch.setattr(proofs, "_of_nobody", lambda: NOBODYS)


NOBODYS = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$nBvEKDP0o3BNr3RFOhWrzqcFDlVmx3H5xQ7/DnkN0jU"


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the API URL of a Prefect server that ends with the tests."""
    patch = pytest.MonkeyPatch()
    from tests.services.prefect import migrated_database

    place = tmp_path_factory.mktemp("prefect")
    shutil.copyfile(migrated_database(), place / "prefect.db")
    patch.setenv("PREFECT_HOME", str(place))
    for name, value in SERVER.items():
        patch.setenv(name, value)
    patch.delenv("PREFECT_API_URL", raising=False)
    from flows.server.embedded import embedded_server, wait_until_ready

    with ExitStack() as stack:
        stack.callback(patch.undo)
        ready = stack.enter_context(embedded_server())
        wait_until_ready(ready)
        from prefect.settings import (
            PREFECT_API_AUTH_STRING,
            PREFECT_API_URL,
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
            PREFECT_HOME,
            PREFECT_LOGGING_TO_API_ENABLED,
            PREFECT_RESULTS_PERSIST_BY_DEFAULT,
            temporary_settings,
        )

        url = os.environ["PREFECT_API_URL"]
        stack.enter_context(
            temporary_settings(
                {
                    PREFECT_API_URL: url,
                    PREFECT_API_AUTH_STRING: os.environ["PREFECT_API_AUTH_STRING"],
                    PREFECT_HOME: Path(os.environ["PREFECT_HOME"]),
                    PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
                    PREFECT_LOGGING_TO_API_ENABLED: False,
                    PREFECT_RESULTS_PERSIST_BY_DEFAULT: False,
                }
            )
        )
        yield url
