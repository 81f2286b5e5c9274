"""Start runs of operations, once even if the connection breaks, and watch them to their end."""

import time
from collections.abc import Callable, Iterable, Iterator
from uuid import uuid4

from catalog.errors import ImagewrightError
from catalog.settings import Settings
from flows.client.connection import Connection, segment
from flows.client.errors import AnswerNotUnderstood, ServiceUnreachable
from flows.client.parsing import parsed
from flows.client.patience import Patience
from flows.client.problems import failure
from flows.client.records import RunState

Told = Callable[[RunState], None]
GLANCE_S = 2.0
"""How long the request itself waits for the run's end: most operations are one transaction."""
MOST_LINE = 16 << 20
"""Most bytes of an event: a result is at most 1 MiB."""
DATA = b"data:"


def begin(connection: Connection, settings: Settings, operation: str, body: object, key: str | None = None) -> RunState:
    """Start an operation and return its run's state. key: a repeated call with it starts no second run.

    Raises the service's refusals.
    """
    once = {"Idempotency-Key": key or str(uuid4())}
    patience = Patience(settings)
    while True:
        try:
            path = f"/operations/{segment(operation)}"
            answer = connection.ask("POST", path, body=body, query={"wait": GLANCE_S}, headers=once, wait_s=GLANCE_S)
        except ImagewrightError as error:
            if isinstance(error, ServiceUnreachable) and not error.was_reached:
                raise  # no run was started: the caller checks the address
            patience.after(error)
        else:
            return _begun(connection, path, answer.status, answer.value)


def _begun(connection: Connection, path: str, status: int, said: object) -> RunState:
    """Return a run's state from the answer to its request: 200 for an ended run, 202 for one that continues."""
    state = parsed(RunState, said, connection.address(path))
    ended = status == 200
    return state.model_copy(update={"finished": ended, "failed": ended and state.error is not None})


def state_of(connection: Connection, run: str) -> RunState:
    """Return a run's state. Raises RunNotFound."""
    path = f"/runs/{segment(run)}"
    return parsed(RunState, connection.ask("GET", path).value, connection.address(path))


def watched(connection: Connection, settings: Settings, run: str, told: Told) -> RunState:
    """Wait until a run has ended and return it. told: called on each change.

    A stream that ends is reopened. Raises ServiceUnreachable if the service stays away; the run continues all the same.
    """
    patience = Patience(settings)
    while True:
        try:
            for state in _streamed(connection, run):
                told(state)
                patience.refill()
                if state.finished:
                    return state
            state = state_of(connection, run)
            if state.finished:
                return state
            time.sleep(1)
        except ImagewrightError as error:
            patience.after(error)


def _streamed(connection: Connection, run: str) -> Iterator[RunState]:
    path = f"/runs/{segment(run)}/events"
    with connection.opened("GET", path, headers={"Accept": "text/event-stream"}) as answer:
        for text in _data(connection.blocks(answer), connection.address(path)):
            yield parsed(RunState, text, connection.address(path))


def _data(blocks: Iterable[bytes], address: str) -> Iterator[bytes]:
    """Yield the data of a stream of server-sent events. The service sends one line per event."""
    held = bytearray()
    for block in blocks:
        held += block
        *lines, rest = held.split(b"\n")
        yield from (bytes(line[len(DATA) :].strip()) for line in lines if line.startswith(DATA))
        held = bytearray(rest)
        if len(held) > MOST_LINE:
            raise AnswerNotUnderstood(address, f"with a line of more than {MOST_LINE} bytes")


def result_of(state: RunState) -> object:
    """Return an ended run's result as JSON. Raises the run's error."""
    if state.failed or state.error is not None:
        raise failure(state)
    return state.result


def cancel(connection: Connection, run: str) -> RunState:
    """Cancel a run and return its state. Raises RunNotFound."""
    path = f"/runs/{segment(run)}/cancel"
    return parsed(RunState, connection.ask("POST", path).value, connection.address(path))
