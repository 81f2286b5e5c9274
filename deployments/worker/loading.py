"""What the process that forks runs has in memory: all that an add or a managing operation would import."""

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
"""What processes of their own load: hundreds of megabytes of Great Expectations, and what no run needs."""
LIBRARIES = (
    "anyio._backends._asyncio", "graphviz", "numpy.ma", "oslo_utils.imageutils.format_inspector", "rich._emoji_codes",
    "prefect.concurrency._asyncio", "prefect.concurrency._sync", "prefect.task_engine", "prefect.utilities.visualization",
    "psycopg", "s3fs", "aiohttp", "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite.pysqlite",
)  # fmt: skip
"""What ours, or Prefect, import only where it is used: one that is not there any more is loaded by whoever needs it."""


def load_everything() -> None:
    """Import every flow and what it will need. Raises what an import raises: then runs are started the slow way."""
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
    """Build now what a model would build when it is first met: in each run anew."""
    for known in model.__subclasses__():
        if not known.__pydantic_complete__:
            known.model_rebuild(raise_errors=False)
        _build_validators(known)
