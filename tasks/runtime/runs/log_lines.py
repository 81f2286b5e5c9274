"""Log as lines of JSON for log collectors, each with its run and image.

Prefect is configured to use `JsonLines` in place of its console handler (`flows/server/environment.py`); its own JSON
formatter knows no image.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

MOST_IMAGES = 20
"""Most ids in a line."""
_LINES = JsonFormatter(
    "{levelname}{name}{message}", style="{", timestamp="at",
    rename_fields={"levelname": "level", "name": "logger"}, reserved_attrs=(*RESERVED_ATTRS, "send_to_api"),
)  # fmt: skip
_known: dict[str, dict[str, object]] = {}
"""Facts of a run noted in one of its own threads, for threads that it started without its context."""


class JsonLines(logging.StreamHandler[Any]):
    """Writes a line per entry. Accepts and ignores the arguments of Prefect's own handler."""

    def __init__(self, stream: Any = None, styles: object = None) -> None:  # noqa: ARG002
        super().__init__(stream or sys.stderr)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of JSON, whatever formatter is set."""
        for name, value in run_facts().items():
            record.__dict__.setdefault(name, value)
        return _LINES.format(record)


def run_facts() -> Mapping[str, object]:
    """Return the current run's `run_id`, `flow`, and `image_id` or `image_ids`; nothing outside a run."""
    if "prefect.context" not in sys.modules:
        return {}
    from prefect.context import FlowRunContext
    from prefect.runtime import flow_run

    context = FlowRunContext.get()
    run_id = flow_run.get_id()
    if context is None or context.flow_run is None or run_id is None:
        return _known.get(str(run_id), {"run_id": run_id} if run_id else {})
    if run_id not in _known:
        _known.clear()  # only the newest run: a process that serves many runs must not grow
        flow = context.flow.name if context.flow else ""
        _known[run_id] = {"run_id": run_id, "flow": flow, **images_of(flow, context.parameters or {}, run_id)}
    return _known[run_id]


def images_of(flow: str, parameters: Mapping[str, object], run_id: str) -> dict[str, object]:
    """Return the image or images of a run's request; an add without an id gets the id of its run."""
    request = parameters.get("request")
    fields = request if isinstance(request, Mapping) else getattr(request, "__dict__", {})
    if many := fields.get("image_ids"):
        ids = [str(one) for one in many][:MOST_IMAGES]
        return {"image_id": ids[0]} if len(ids) == 1 else {"image_ids": ids}
    image_id = fields.get("image_id") or (run_id if flow.startswith("add-") else None)
    return {"image_id": str(image_id)} if image_id else {}
