"""Call a flow from the command line: find or start a server, keep Prefect quiet, return the record."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from pydantic import BaseModel

from catalog.errors import ImagewrightError
from catalog.loading import loading
from catalog.records import Record
from catalog.settings import load_settings
from flows.registry import OPERATIONS
from flows.server.api import PasswordRefused
from flows.server.embedded import embedded_server, wait_until_ready
from flows.server.environment import listens, prepare
from flows.server.same_catalog import require_same_catalog
from storage.sources import mask


class ServerUnreachable(ImagewrightError):
    """The Prefect server that was asked for does not answer."""

    retryable = True

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(
            f"the Prefect server at {mask(url)} does not answer ({reason}); start it, or leave PREFECT_API_URL out"
        )


def call_flow(name: str, request: BaseModel, *, quiet: bool = False) -> Record | tuple[Record, ...]:
    """Run a flow in this process and return its record. Raises what the flow raises."""
    # The command reports errors once; the run's log has everything.
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    with _server(quiet):
        from tasks.runtime.runs.acting import called_by, terminal

        with called_by(terminal()):
            return _run(name, request)


@contextmanager
def _server(quiet: bool) -> Iterator[None]:
    settings = load_settings()
    if server := prepare(settings):
        if listens(server):  # a server that does not answer is reported by the first request
            require_same_catalog(settings, os.environ)
        yield
        return
    if not quiet and sys.stderr.isatty():
        print("starting Prefect for this call; `imagewright serve` keeps one running", file=sys.stderr)
    with embedded_server() as ready:
        with loading(for_good=True):
            import prefect  # noqa: F401  # while the server starts

        wait_until_ready(ready)
        try:
            yield
        finally:
            _send_what_waits()


def _send_what_waits() -> None:
    """Send queued logs and events before the server stops: at exit, Prefect would try for a minute to reach it."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    EventsWorker.drain_all(timeout=5)
    APILogWorker.drain_all(timeout=5)


def _run(name: str, request: BaseModel) -> Record | tuple[Record, ...]:
    flow = OPERATIONS[name].load()
    from httpx import HTTPStatusError, TransportError
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    # The heartbeat thread costs a sync flow a second at its end, and nothing could restart this process anyway.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        try:
            result: Record | tuple[Record, ...] = flow(request)
        except HTTPStatusError as error:
            if error.response.status_code != HTTPStatus.UNAUTHORIZED:
                raise
            raise PasswordRefused(os.environ.get("PREFECT_API_URL", "")) from error
        except (
            TransportError,
            RuntimeError,
        ) as error:  # Prefect wraps a TransportError in a RuntimeError when a run begins
            reason = error if isinstance(error, TransportError) else error.__cause__
            if not isinstance(reason, TransportError):
                raise
            raise ServerUnreachable(
                os.environ.get("PREFECT_API_URL", ""), str(reason).rpartition("] ")[2] or "no answer came"
            ) from error
        return result
