"""The operations, one row each, given by the decorator of their request; everything else is derived from the rows."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from inspect import cleandoc
from typing import Any, Literal, TypeVar

from pydantic import BaseModel

from catalog.loading import loading
from catalog.rules.upkeep.queues import Queue

REQUESTS = "flows.requests"
"""The package whose classes bear the rows."""
Rights = Literal["admin", "owner, admin", "whoever sees the image", "anybody"]
Button = Literal[
    "image", "export", "leftover", "image storage", "primary storage", "volume", "upload",
    "family", "latest", "build", "account", "images", "bin", "storages", "primary", "families",
]  # fmt: skip
"""Where the console offers an operation: on each line of a kind, or (the last five) once above a tab.

latest: of a family; build: not yet its latest."""
BytesAt = Literal[
    "", "none", "named storages", "own storage", "a replica", "exports", "all of the image", "primary storage",
    "primary storage and a replica", "volume", "each host",
]  # fmt: skip
"""Which bytes an operation touches; this decides which host does it (`tasks/hosts/places.py`)."""
R = TypeVar("R", bound=BaseModel)
ONE_TRANSACTION = "none: one transaction"
"""The lock of an operation without one: it takes no time, whatever the image's size."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A deployment's schedule.

    line: cron in UTC; slug: its name on the server; request: fields of the run's request.
    """

    line: str
    slug: str
    request: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Present:
    """A form's first values: the present values of a record's fields that the request has too.

    of: kind of the record that `image_id` or `name` of the request names. named: fields of the request → their names in
    the record, if different. fixed: fields that never change.
    """

    of: Literal["image", "image storage", "primary storage", "family", "account"]
    named: Mapping[str, str] = field(default_factory=dict)
    fixed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """The row of an operation.

    module: defines the flow, under the row's name. run: name of a run, with the request's fields in braces. rights,
    lock, left: for the README; left: what a death in the middle leaves. single: only one run at a time, a second one is
    cancelled; grace_s: how long a dead run keeps its slot (None: the server's default). defaults: fields of a run whose
    request gives none. queue: in which its runs wait for a worker. transition: the image's, in
    `catalog.rules.images.transitions`; the operation is offered where it is allowed. irreversible: a second question is
    asked, always or only with `field=value`. adds: type of the image that it adds; asks: its runs may wait for a
    person's answer; present: first values of its form. bytes_at: "" means not specified, and counts as none.
    """

    name: str
    module: str
    request: type[BaseModel]
    rights: Rights
    run: str
    lock: str
    left: str
    single: bool
    grace_s: int | None
    schedules: tuple[Cron, ...]
    defaults: Mapping[str, object]
    queue: Queue
    transition: str
    buttons: tuple[Button, ...]
    irreversible: bool | str
    adds: Literal["", "System", "Volume"]
    asks: bool
    present: Present | None
    bytes_at: BytesAt

    @property
    def deployment(self) -> str:
        """Return the name of flow, deployment and subcommand."""
        return self.name.replace("_", "-")

    @property
    def title(self) -> str:
        """Return the text of a button."""
        return self.name.replace("_", " ").capitalize()

    @property
    def room(self) -> str:
        """Return the folder of the flow's module."""
        return self.module.split(".")[-2]

    @property
    def about(self) -> str:
        """Return the description of the operation: the request's docstring."""
        return cleandoc(self.request.__doc__ or "")

    def load(self) -> Callable[..., Any]:
        """Return the flow; imports Prefect."""
        with loading():
            flow: Callable[..., Any] = getattr(import_module(self.module), self.name)
        return flow


class Operations(Mapping[str, Operation]):
    """Every row by its flow's name. The first access imports the requests, and nothing of Prefect."""

    def __init__(self) -> None:
        self._rows: dict[str, Operation] = {}

    def add(self, row: Operation) -> None:
        """Add a row. Raises ValueError for a taken name: one of the two could never be called."""
        known = self._rows.get(row.name)
        if known is not None and known.request.__module__ != row.request.__module__:
            raise ValueError(f"{row.name} is an operation of {known.module} already")
        self._rows[row.name] = row

    def __getitem__(self, name: str) -> Operation:
        return self._collected()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._collected())

    def __len__(self) -> int:
        return len(self._collected())

    def _collected(self) -> Mapping[str, Operation]:
        import_module(REQUESTS)
        return self._rows


OPERATIONS = Operations()


def row_of(request: type[BaseModel]) -> Operation:
    """Return the row of a request class."""
    return next(row for row in OPERATIONS.values() if row.request is request)


def operation(
    module: str,
    *,
    rights: Rights,
    run: str = "",
    lock: str = ONE_TRANSACTION,
    left: str = "nothing or all of it",
    single: bool = False,
    grace_s: int | None = None,
    schedule: Cron | tuple[Cron, ...] = (),
    defaults: Mapping[str, object] | None = None,
    transition: str = "",
    buttons: tuple[Button, ...] = (),
    irreversible: bool | str = False,
    adds: Literal["", "System", "Volume"] = "",
    asks: bool = False,
    present: Present | None = None,
    queue: Queue | None = None,
    bytes_at: BytesAt = "",
) -> Callable[[type[R]], type[R]]:
    """Give a request class its row, see `Operation`. The flow's name is the class's, in lower case with underscores.

    queue: defaults to `prompt` for one transaction, to `bulk` for all else.
    """

    def register(request: type[R]) -> type[R]:
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", request.__name__).lower()
        schedules = (schedule,) if isinstance(schedule, Cron) else schedule
        OPERATIONS.add(
            Operation(
                name,
                module,
                request,
                rights,
                run or name.replace("_", " "),
                lock,
                left,
                single,
                grace_s,
                schedules,
                defaults or {},
                queue or _usual_queue(lock),
                transition,
                buttons,
                irreversible,
                adds,
                asks,
                present,
                bytes_at,
            )
        )
        return request

    return register


def _usual_queue(lock: str) -> Queue:
    return "prompt" if lock.startswith(ONE_TRANSACTION) else "bulk"
