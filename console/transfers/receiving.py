"""Bytes of an upload on their way to where it is kept: kept however it ends, and judged as soon as they show what they are."""

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
    """What came of an upload is not what it was announced as; nothing more of it is taken until that is corrected."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)


class Receiving:
    """What one request brings for an upload. turn: at the upload; no more than a piece of it is in memory."""

    def __init__(self, settings: Settings, uploads: Uploads, upload: Upload, turn: Turn) -> None:
        self._settings, self._uploads, self._upload, self._turn = settings, uploads, upload, turn

    @property
    def offset(self) -> int:
        """How many bytes are kept."""
        return self._turn.offset

    async def take(self, request: Request) -> None:
        """Append the body. Raises InvalidRequest for bytes past the announced length, as `judge`, and as `Turn.write`."""
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
            pass  # nobody reads the answer; what came is kept
        await run_in_threadpool(self._write, waiting)

    def _worth_writing(self) -> int:
        """Return how many bytes are written together: what shows the format goes first, so that it is judged before more comes."""
        lacking = HEAD - self.offset
        return min(lacking, self._turn.piece_bytes) if lacking > 0 else self._turn.piece_bytes

    def _write(self, data: bytearray) -> None:
        before = self.offset
        self._turn.write(data)
        if before < HEAD and data:
            judge(self._settings, self._uploads, self._upload)


def judge(settings: Settings, uploads: Uploads, upload: Upload) -> None:
    """Let an upload pass as far as its first bytes tell. Raises Refused with the sentence.

    What is another format than announced is kept, so that it can be announced as what it is; what no announcement
    would help is deleted.
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
