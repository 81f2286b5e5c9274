"""What the worker and the process that forks its runs tell each other: one line of JSON each."""

from collections.abc import Mapping
from typing import Literal

from catalog.records import Record

READY = "ready"
"""The first line of the process that forks, when everything is loaded; another first line says why it can't."""


class Order(Record):
    """What a forked process does.

    number: by which it is spoken of. job: `run` a flow, or the `cancellation` or `crashed` hooks of one.
    environment: all of it, nothing is inherited. flow_run, state: as JSON; the state is for hooks.
    """

    number: int
    job: Literal["run", "cancellation", "crashed"]
    operation: str
    environment: Mapping[str, str]
    flow_run: str
    state: str = ""


class Told(Record):
    """What became of an order. pid: of the process begun for it; code: how it ended, negative: by that signal."""

    number: int
    pid: int | None = None
    code: int | None = None
    error: str = ""
