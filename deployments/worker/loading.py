"""Preload the forking process with every import of adds and managing operations."""

from contextlib import suppress
from importlib import import_module
from pkgutil import walk_packages

from pydantic import BaseModel

from flows.registry import OPERATIONS

OURS = ("catalog", "storage", "tasks", "flows")
NOT_OURS = (
    "catalog.quality.",
    "catalog.migrations",
    "storage.boot.probe",
    "flows.server.app",
    "flows.cli",
    "flows.command",
)
"""Modules not to preload: Great Expectations (hundreds of megabytes, has its own process) and what no run needs."""
LIBRARIES = (
    "anyio._backends._asyncio", "graphviz", "numpy.ma", "oslo_utils.imageutils.format_inspector", "rich._emoji_codes",
    "prefect.concurrency._asyncio", "prefect.concurrency._sync", "prefect.task_engine", "prefect.utilities.visualization",
    "psycopg", "s3fs", "aiohttp", "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite.pysqlite",
)  # fmt: skip
"""Modules that our code or Prefect import lazily. One that no longer exists is skipped; runs import what they need."""


def load_everything() -> None:
    """Import every flow and its dependencies. Raises what an import raises; then runs are started the slow way."""
    for row in OPERATIONS.values():
        row.load()
    for name in _ours():
        import_module(name)
    for name in LIBRARIES:
        with suppress(ImportError):
            import_module(name)
    _build_validators(BaseModel)


def _ours() -> list[str]:
    return [
        found.name
        for package in OURS
        for found in walk_packages(import_module(package).__path__, f"{package}.")
        if not found.name.startswith(NOT_OURS)
    ]


def _build_validators(model: type[BaseModel]) -> None:
    """Build the validators that a model would otherwise build at first use, again in each run."""
    for known in model.__subclasses__():
        if not known.__pydantic_complete__:
            known.model_rebuild(raise_errors=False)
        _build_validators(known)
