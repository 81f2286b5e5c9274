"""Receive the bytes of an upload: store them however the request ends, and judge them as soon as the format shows."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from catalog.errors import FormatMismatch, ImagewrightError, InvalidRequest, UnsafeImage
from catalog.settings import Settings
from console.transfers.announcing import FLOWS
from storage.formats.regions import HEAD
from storage.transfer.early_verdict import judge_head
from storage.uploads import Turn, Upload, Uploads
from tasks.add.uploads import discard_upload


class Refused(ImagewrightError):
    """The received bytes are not what the upload announced; no more are accepted until that is corrected."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)


class Receiving:
    """The bytes of one request for an upload. turn: at the upload; at most one piece is in memory."""

    def __init__(self, settings: Settings, uploads: Uploads, upload: Upload, turn: Turn) -> None:
        self._settings, self._uploads, self._upload, self._turn = settings, uploads, upload, turn

    @property
    def offset(self) -> int:
        """The number of stored bytes."""
        return self._turn.offset

    async def take(self, request: Request) -> None:
        """Append the body.

        Raises InvalidRequest for bytes past the announced length, as `judge`, and as `Turn.write`.
        """
        waiting = bytearray()
        try:
            async for part in request.stream():
                if self.offset + len(waiting) + len(part) > self._upload.length:
                    raise InvalidRequest(
                        "file", f"more than {self._upload.length} bytes", f"{self._upload.length} were announced"
                    )
                waiting += part
                if len(waiting) >= self._worth_writing():
                    await run_in_threadpool(self._write, waiting)
                    waiting = bytearray()
        except ClientDisconnect:
            pass  # the client has gone; the received bytes are stored
        await run_in_threadpool(self._write, waiting)

    def _worth_writing(self) -> int:
        """Return how many bytes to write at once: first those that show the format, to judge it before more arrive."""
        lacking = HEAD - self.offset
        return min(lacking, self._turn.piece_bytes) if lacking > 0 else self._turn.piece_bytes

    def _write(self, data: bytearray) -> None:
        before = self.offset
        self._turn.write(data)
        if before < HEAD and data:
            judge(self._settings, self._uploads, self._upload)


def judge(settings: Settings, uploads: Uploads, upload: Upload) -> None:
    """Judge an upload by its first bytes. Raises Refused with the sentence.

    A file of another format than announced is kept, so that its announcement can be corrected; a file that no
    announcement would make acceptable is deleted.
    """
    try:
        asked = FLOWS[upload.flow].model_validate_json(upload.request)
        insisted, head = asked.accept_unrecognized, uploads.read(upload.id, 0, HEAD)
        judge_head(head, asked.image_format, settings, accept_unrecognized=insisted)
    except FormatMismatch as error:
        sentence = f"{error}; what was sent is kept: announce it, among the uploads, as what it is, or discard it"
        uploads.refuse(upload.id, sentence)
        raise Refused(sentence) from error
    except UnsafeImage as error:
        discard_upload(uploads, upload.id)
        raise Refused(str(error)) from error
