"""Flows from their rows: names of flow and run are said once, at the request."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from prefect import Flow
from prefect.runtime import flow_run
from pydantic import BaseModel

from catalog.settings import load_settings
from flows.registry import Operation, row_of
from tasks.runtime.runs.outcomes import told

P = ParamSpec("P")
R = TypeVar("R")


def flow_of(request: type[BaseModel], **options: Any) -> Callable[[Callable[P, R]], Flow[P, R]]:
    """Make a function the flow of a request's row. options: as of `prefect.flow`.

    Raises TypeError where the row names another function: its deployment could never be run.
    """
    row = row_of(request)

    def make(function: Callable[P, R]) -> Flow[P, R]:
        if (function.__module__, function.__name__) != (row.module, row.name):
            raise TypeError(
                f"{request.__name__} belongs to {row.module}.{row.name}, not {function.__module__}.{function.__name__}"
            )
        hosted = _on_its_host(row, function)
        return Flow(told(row.name, hosted), name=row.deployment, flow_run_name=run_named(row.run), **options)

    return make


def _on_its_host(row: Operation, function: Callable[P, R]) -> Callable[P, R]:
    """Have a flow done where its bytes are. A catalog in SQLite has one host, and nothing more is looked at."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        settings = load_settings()
        if not settings.catalog_is_shared:
            return function(*args, **kwargs)
        from tasks.hosts.on_its_host import on_its_host

        request = cast("BaseModel", args[0] if args else kwargs["request"])
        done = on_its_host(row.deployment, row.bytes_at, request, settings, lambda: function(*args, **kwargs))
        return cast("R", done)

    return run


def run_named(template: str) -> Callable[[], str]:
    """Return a function that names a run by filling the request's fields into `template`."""

    def name() -> str:
        request = flow_run.get_parameters()["request"]
        fields = request if isinstance(request, dict) else request.model_dump()
        return template.format_map(fields)

    return name
