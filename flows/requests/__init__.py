"""What people ask for: one frozen model per flow, in the words and the order of the user guide.

Each model is the form in the Prefect UI, the body of `prefect deployment run`, the options of the command and the
argument of the Python call. Fields carry `title`, `description` and `position`; the rules live in `catalog.rules`.
A class in any module of this package that bears `@operation` is found here and nowhere noted. What type checkers see is
in `__init__.pyi`, which `python -m deployments.generate` writes.
"""

from importlib import import_module
from pkgutil import iter_modules

from flows.registry import OPERATIONS
from flows.requests.form import ChangingRequest, ImagesRequest, Request

for _found in iter_modules(__path__):
    import_module(f"{__name__}.{_found.name}")
globals().update({row.request.__name__: row.request for row in OPERATIONS.values()})

__all__ = ["ChangingRequest", "ImagesRequest", "Request", *(row.request.__name__ for row in OPERATIONS.values())]  # noqa: PLE0604
