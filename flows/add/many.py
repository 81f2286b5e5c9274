"""The adds that a request for many asks for, read from its file where it names one, each with the id that it always has."""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from uuid import UUID, uuid5

from pydantic import ValidationError

from catalog.errors import InvalidRequest
from flows.requests import AddImages, AddSystemImage, AddVolumeImage
from flows.requests.add import add_of
from flows.requests.sentences import sentence
from storage.sources import mask

Add = AddSystemImage | AddVolumeImage
IDS = UUID("6f2d7f0a-6f0e-4a51-9c9b-0d9f6f1c52aa")
"""By which an image that was given no id gets the same one whenever it is asked for in the same words."""
MOST_BYTES = 16 << 20
LIST_FIELDS = ("image_storages", "labels")


def asked_for(request: AddImages, *, file_is_ours: bool) -> tuple[Add, ...]:
    """Return the adds, each with an id. file_is_ours: whether a file that is named is on the machine of who asks.

    Raises InvalidRequest where there is none, the file can't be read, or two ask for the same image.
    """
    adds = request.requests
    if request.file is not None:
        if not file_is_ours:
            raise InvalidRequest("file", request.file, "it is read by the command alone; give a run its requests")
        adds += read(Path(request.file))
    if not adds:
        raise InvalidRequest("requests", "nothing", "at least one add, or a file with some")
    if any(add.plan_only for add in adds):
        raise InvalidRequest("plan_only", "true of one add", "plan only for all of them together")
    return _told_apart(tuple(_identified(add, request) for add in adds))


def read(file: Path) -> tuple[Add, ...]:
    """Return the adds that a file lists. Raises InvalidRequest, which names the row."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise InvalidRequest("file", str(file), f"at most {MOST_BYTES >> 20} MiB")
        rows = _reader(file)(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise InvalidRequest("file", str(file), f"a file that can be read ({reason})") from error
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise InvalidRequest("file", str(file), "a list of adds, each with its fields by their names")
    return tuple(_add(file, number, row) for number, row in enumerate(rows, start=1))


def _reader(file: Path) -> Callable[[str], object]:
    readers: Mapping[str, Callable[[str], object]] = {
        ".json": json.loads, ".csv": _csv, ".yaml": _yaml, ".yml": _yaml,
    }  # fmt: skip
    try:
        return readers[file.suffix.lower()]
    except KeyError as error:
        raise InvalidRequest("file", str(file), f"a name that ends in {', '.join(readers)}") from error


def _csv(text: str) -> list[dict[str, object]]:
    """Read rows below a row of names. An empty cell is not given; names in one cell are separated by spaces."""
    rows = csv.DictReader(text.splitlines())
    return [{name: _cell(name, value) for name, value in row.items() if value} for row in rows]


def _cell(name: str, value: object) -> object:
    return value.split() if name in LIST_FIELDS and isinstance(value, str) else value


def _yaml(text: str) -> object:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _add(file: Path, number: int, row: Mapping[str, object]) -> Add:
    try:
        return add_of(row)
    except ValidationError as error:
        raise InvalidRequest("file", f"row {number} of {file}", sentence(error)) from error
    except InvalidRequest as error:
        raise InvalidRequest("file", f"row {number} of {file}", str(error)) from error


def _identified(add: Add, request: AddImages) -> Add:
    """Give an add the id that it has each time, and the account that asks where it names none."""
    account = add.account if "account" in add.model_fields_set else request.account
    words = (type(add).__name__, account, add.name, add.image_format, mask(add.image_path), add.expected_checksum or "")
    identity = add.image_id or str(uuid5(IDS, "\n".join(words)))
    return add.model_copy(update={"account": account, "image_id": identity})


def _told_apart(adds: Sequence[Add]) -> tuple[Add, ...]:
    seen: dict[str, int] = {}
    for number, add in enumerate(adds, start=1):
        first = seen.setdefault(str(add.image_id), number)
        if first != number:
            raise InvalidRequest("requests", f"{add.name!r} as number {first} and {number}", "each image once")
    return tuple(adds)
