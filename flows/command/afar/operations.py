"""Operations from afar: the request goes to the service as it was written, a file of this machine before it."""

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
"""How an address begins; what has none is a path of this machine."""
NAMED = "a URL, or the path of a file on this machine"


def call_afar(client: "Client", name: str, request: BaseModel, *, quiet: bool = False) -> "Result":
    """Run an operation at a service and return what it returned. Raises what it raised.

    quiet: no progress is shown, which is only on a terminal anyway.
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
    """Return what is sent. Whoever calls from a terminal waits for nothing that is away unless told to, as on the host."""
    body: dict[str, object] = request.model_dump(mode="json", exclude_unset=True)
    if isinstance(request, AddImages) and request.file is not None:
        body = _with_rows(request, body)
    if isinstance(request, PatientRequest):
        body.setdefault("patience_s", 0)
    return body


def _with_rows(request: AddImages, body: dict[str, object]) -> dict[str, object]:
    """Return a request with the rows of its file, which is read where the command is."""
    from flows.add.many import read

    rows = read(Path(str(request.file)))
    adds = AddImages(requests=(*request.requests, *rows)).model_dump(mode="json", exclude_unset=True)["requests"]
    return {**{name: value for name, value in body.items() if name != "file"}, "requests": adds}


def own_file(image_path: str) -> Path | None:
    """Return the file of this machine that a path names, None for an address. Raises InvalidRequest for what is neither."""
    if SCHEME.match(image_path):
        return None
    path = Path(image_path).expanduser()
    if not path.is_file():
        raise InvalidRequest("image_path", image_path, f"{NAMED} that is there")
    return path
