"""Run operations at a remote service: upload a file of this machine first, then send the request as written."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from catalog.errors import InvalidRequest
from flows.client.records import RunState
from flows.client.transfers.progress import Moved
from flows.command.afar.showing import shown
from flows.requests.add import AddImage, AddImages
from flows.requests.form import PatientRequest

if TYPE_CHECKING:
    from flows.client.client import Client
    from flows.client.returned import Result

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
"""The scheme of a URL; text without one is a path of this machine."""
NAMED = "a URL, or the path of a file on this machine"


def call_afar(client: "Client", name: str, request: BaseModel, *, quiet: bool = False) -> "Result":
    """Run an operation at a service and return its result. Raises the operation's error.

    quiet: show no progress; progress is shown on a terminal only anyway.
    """
    body = _body(request)
    with shown(quiet=quiet) as (moved, told):
        if isinstance(request, AddImage) and (file := own_file(request.image_path)):
            return _uploaded(client, file, name, body, moved, told)
        begun: RunState | None = None
        try:
            begun = client.begin(name, body)
            ended = client.watch(begun, told)
        except KeyboardInterrupt as stopped:
            what = f"run {begun.run}" if begun else "what was begun"
            raise KeyboardInterrupt(f"; {what} goes on at {client.login.url}") from stopped
    return client.result(name, ended)


def _uploaded(
    client: "Client", file: Path, name: str, body: dict[str, object], moved: Moved, told: Callable[[RunState], None]
) -> "Result":
    if body.pop("plan_only", False):
        raise InvalidRequest("plan_only", True, "leave it out for a file that is sent, or give an address")
    try:
        return client.upload(file, name, body, moved=moved, told=told)
    except KeyboardInterrupt as stopped:
        raise KeyboardInterrupt("; the same command goes on") from stopped


def _body(request: BaseModel) -> dict[str, object]:
    """Return the body to send. As on the host, a command waits for nothing unavailable unless told to."""
    body: dict[str, object] = request.model_dump(mode="json", exclude_unset=True)
    if isinstance(request, AddImages) and request.file is not None:
        body = _with_rows(request, body)
    if isinstance(request, PatientRequest):
        body.setdefault("patience_s", 0)
    return body


def _with_rows(request: AddImages, body: dict[str, object]) -> dict[str, object]:
    """Return a request with the rows of its file, which is read on this machine."""
    from flows.add.many import read

    rows = read(Path(str(request.file)))
    adds = AddImages(requests=(*request.requests, *rows)).model_dump(mode="json", exclude_unset=True)["requests"]
    return {**{name: value for name, value in body.items() if name != "file"}, "requests": adds}


def own_file(image_path: str) -> Path | None:
    """Return the file of this machine that a path names, None for a URL. Raises InvalidRequest if it is neither."""
    if SCHEME.match(image_path):
        return None
    path = Path(image_path).expanduser()
    if not path.is_file():
        raise InvalidRequest("image_path", image_path, f"{NAMED} that is there")
    return path
