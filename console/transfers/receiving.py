"""Bytes of an upload on their way into its file: kept however it ends, and judged as soon as they show what they are."""

import os

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from catalog.errors import FormatMismatch, ImagewrightError, InvalidRequest, UnsafeImage
from catalog.settings import Settings
from console.transfers.announcing import FLOWS
from storage.formats.regions import HEAD
from storage.transfer.early_verdict import judge_head
from storage.uploads import Upload, Uploads
from tasks.add.uploads import discard_upload

WRITE_BYTES = 1 << 20  # what is written at once: a hop into a thread each


class Refused(ImagewrightError):
    """What came of an upload is not what it was announced as; nothing more of it is taken until that is corrected."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)


class Receiving:
    """One sender's turn at an upload. fd: to append to, under the upload's lock."""

    def __init__(self, settings: Settings, upload: Upload, fd: int) -> None:
        self._settings, self._uploads, self._upload, self._fd = settings, Uploads(settings), upload, fd
        self.offset = os.fstat(fd).st_size

    async def take(self, request: Request) -> None:
        """Append the body. Raises InvalidRequest for bytes past the announced length, and as `judge`."""
        waiting = bytearray()
        try:
            async for part in request.stream():
                if self.offset + len(waiting) + len(part) > self._upload.length:
                    raise InvalidRequest(
                        "file", f"more than {self._upload.length} bytes", f"{self._upload.length} were announced"
                    )
                waiting += part
                if len(waiting) >= WRITE_BYTES:
                    await run_in_threadpool(self._write, waiting)
                    waiting = bytearray()
        except ClientDisconnect:
            pass  # nobody reads the answer; what came is kept
        await run_in_threadpool(self._write, waiting)

    def _write(self, data: bytearray) -> None:
        before, view = self.offset, memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self.offset += len(data)
        if before < HEAD and data:
            judge(self._settings, self._uploads, self._upload)


def judge(settings: Settings, uploads: Uploads, upload: Upload) -> None:
    """Let an upload pass as far as its first bytes tell. Raises Refused with the sentence.

    What is another format than announced is kept, so that it can be announced as what it is; what no announcement
    would help is deleted.
    """
    try:
        with uploads.data(upload.id).open("rb") as file:
            asked = FLOWS[upload.flow].model_validate_json(upload.request)
            insisted = asked.accept_unrecognized
            judge_head(file.read(HEAD), asked.image_format, settings, accept_unrecognized=insisted)
    except FormatMismatch as error:
        sentence = f"{error}; what was sent is kept: announce it, among the uploads, as what it is, or discard it"
        uploads.refuse(upload.id, sentence)
        raise Refused(sentence) from error
    except UnsafeImage as error:
        discard_upload(settings, upload.id)
        raise Refused(str(error)) from error
