"""Messages between the worker and the forking process, one line of JSON each."""

from collections.abc import Mapping
from typing import Literal

from catalog.records import Record

READY = "ready"
"""First line of the forking process once everything is loaded; any other first line says why it can't fork."""


class Order(Record):
    """An order for a forked process.

    number: identifies the order. job: `run` a flow, or run its `cancellation` or `crashed` hooks.
    environment: complete, nothing is inherited. flow_run, state: as JSON; the state is for hooks.
    """

    number: int
    job: Literal["run", "cancellation", "crashed"]
    operation: str
    environment: Mapping[str, str]
    flow_run: str
    state: str = ""


class Told(Record):
    """A report on an order. pid: of its process; code: its exit code, negative for a signal."""

    number: int
    pid: int | None = None
    code: int | None = None
    error: str = ""
