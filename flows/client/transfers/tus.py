"""The client side of tus 1.0 (https://tus.io/protocols/resumable-upload): announce a file, send its missing bytes."""

import os
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import BinaryIO
from uuid import UUID

from catalog.errors import ImagewrightError, TransferInterrupted, UploadNotFound
from catalog.settings import Settings
from flows.client.connection import SENT_BYTES, Connection, segment
from flows.client.errors import AnswerNotUnderstood, ServiceRefused, ServiceUnreachable
from flows.client.patience import Patience
from flows.client.transfers.progress import Moved

PATH = "/uploads"
TUS = {"Tus-Resumable": "1.0.0"}
BODY = "application/offset+octet-stream"
FIRST_BYTES, PIECE_BYTES = (1 << 20) + (64 << 10), 64 << 20
"""The first piece is large enough to recognise every format: the service judges it before more is sent."""
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
RUN = "Imagewright-Run"
"""Header that names the run which adds a whole upload; without it the image's record is read instead."""
OTHER_OFFSET, NOT_THERE = 409, 404
SENDING = "sending"


def piece(file: BinaryIO, start: int, end: int, moved: Callable[[int], None]) -> Iterator[bytes]:
    """Yield a part of a file for sending. moved: called with the bytes of the file handed out so far."""
    while start < end:
        block = os.pread(file.fileno(), min(SENT_BYTES, end - start), start)
        if not block:  # it was truncated: the service gets fewer bytes, and the next check of the file says why
            return
        start += len(block)
        moved(start)
        yield block


class Sending:
    """A service's uploads."""

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection, self._settings = connection, settings

    def create(self, flow: str, request: str, length: int, filename: str) -> str:
        """Announce a file and return the id of its upload. Raises the error that its add would fail with."""
        said = {"flow": flow, "request": request, "filename": filename}
        metadata = ",".join(
            f"{key} {b64encode(value.encode(errors='replace')).decode()}" for key, value in said.items()
        )
        headers = {**TUS, "Upload-Length": str(length), "Upload-Metadata": metadata}
        answer = self._connection.ask("POST", PATH, headers=headers)
        upload_id = answer.headers.get("Location", "").rpartition("/")[
            2
        ]  # always at this service, whatever host it names
        if not ID.fullmatch(upload_id):
            raise AnswerNotUnderstood(self._connection.address(PATH), "without the Location of an upload")
        return upload_id

    def offset(self, upload_id: str) -> tuple[int, UUID | None]:
        """Return the bytes that the service has, and the run that adds them if it is named. Raises UploadNotFound."""
        path = f"{PATH}/{segment(upload_id)}"
        try:
            answer = self._connection.ask("HEAD", path, headers=TUS)
        except ServiceRefused as error:  # an answer to HEAD has no sentence
            if error.status == NOT_THERE:
                raise UploadNotFound(upload_id) from error
            raise
        return _number(answer.headers.get("Upload-Offset", ""), self._connection.address(path)), _run(
            answer.headers.get(RUN)
        )

    def send(self, upload_id: str, file: BinaryIO, length: int, moved: Moved, check: Callable[[], None]) -> UUID | None:
        """Send the missing bytes, resuming after interruptions; return the run that adds the file, if it is named.

        check: raises if the file has changed. Raises TransferInterrupted if the service stays away.
        """
        patience, offset = Patience(self._settings), 0
        while True:
            try:
                before, (offset, run) = offset, self.offset(upload_id)
                if offset > before:  # a part of the interrupted piece has arrived
                    patience.refill()
                while offset < length:
                    check()
                    offset, run = self._piece(upload_id, file, (offset, length), moved)
                    patience.refill()
            except ImagewrightError as error:
                self._wait(patience, error, upload_id, offset)
            else:
                check()
                return run

    def _piece(self, upload_id: str, file: BinaryIO, rest: tuple[int, int], moved: Moved) -> tuple[int, UUID | None]:
        offset, length = rest
        end = min(length, FIRST_BYTES if offset < FIRST_BYTES else offset + PIECE_BYTES)
        content = piece(file, offset, end, lambda done: moved(done, length, SENDING))
        path = f"{PATH}/{segment(upload_id)}"
        headers = {**TUS, "Upload-Offset": str(offset), "Content-Type": BODY, "Content-Length": str(end - offset)}
        with self._connection.opened("PATCH", path, content=content, headers=headers) as answer:
            kept = _number(answer.headers.get("Upload-Offset", ""), self._connection.address(path))
            if not offset < kept <= length:
                raise AnswerNotUnderstood(self._connection.address(path), f"with an offset of {kept} after {offset}")
            return kept, _run(answer.headers.get(RUN))

    def _wait(self, patience: Patience, error: ImagewrightError, upload_id: str, offset: int) -> None:
        """Wait until the next attempt. Raises an error that waiting can't help."""
        if isinstance(error, ServiceRefused) and error.status == OTHER_OFFSET:
            error = ServiceUnreachable(self._connection.url, str(error), was_reached=True)
        try:
            patience.after(error)
        except ServiceUnreachable as given_up:
            address = self._connection.address(f"{PATH}/{upload_id}")
            raise TransferInterrupted(address, offset, given_up.reason) from error

    def discard(self, upload_id: str) -> None:
        """Discard an upload at the service, if it can be reached; it discards uploads by itself some days later."""
        try:
            self._connection.ask("DELETE", f"{PATH}/{segment(upload_id)}", headers=TUS)
        except ImagewrightError:
            return


def _number(header: str, address: str) -> int:
    if not (header.isascii() and header.isdigit() and len(header) < 19):
        raise AnswerNotUnderstood(address, f"with {header!r} for an Upload-Offset")
    return int(header)


def _run(header: str | None) -> UUID | None:
    try:
        return UUID(header) if header else None
    except ValueError:
        return None
