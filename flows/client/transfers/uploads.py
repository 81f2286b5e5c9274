"""Upload a file of this machine by tus 1.0 (https://tus.io/protocols/resumable-upload) and add it, with resume."""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from catalog.errors import ImageNotFound, ImagewrightError, InvalidRequest, RunNotFound, UploadNotFound
from catalog.records import Image
from catalog.settings import Settings
from flows.client import runs
from flows.client.connection import Connection, segment
from flows.client.errors import ServiceRefused
from flows.client.parsing import parsed
from flows.client.patience import Patience
from flows.client.records import RunState
from flows.client.transfers.kept_uploads import KeptUpload, KeptUploads, Sent, facts
from flows.client.transfers.progress import Moved
from flows.client.transfers.tus import Sending

ENDED = ("Ready", "Error")
"""Statuses of an image whose add is over."""
NO_RUN = UUID(int=0)
BEGINS_WITHIN_S = 300.0
"""How long a busy service, or its busy Prefect server, may take to start the add: it retries by itself."""
LATER = "the file is there whole, and its add begins as soon as the service can; ask again then"


class Uploading:
    """A file uploaded for an operation. request: without `image_path`. Raises InvalidRequest if it names an id."""

    def __init__(
        self, connection: Connection, settings: Settings, file: Path, operation: str, request: Mapping[str, object]
    ) -> None:
        self._connection, self._settings, self._path = connection, settings, file
        self._operation = operation
        if request.get("image_id") is not None:
            raise InvalidRequest("image_id", request["image_id"], "leave it out: an image has the id of its upload")
        self._asked = {name: value for name, value in request.items() if name not in ("image_path", "image_id")}
        self._request = json.dumps(self._asked, sort_keys=True)
        self._kept, self._sending = KeptUploads(settings), Sending(connection, settings)

    def added(self, moved: Moved, told: runs.Told) -> RunState:
        """Send the bytes that the service lacks and return the ended run that added the file.

        Raises InvalidRequest for a path that is no file, UploadBusy, TransferInterrupted, and the service's refusals.
        """
        with self._opened() as file:
            found = facts(self._path, os.fstat(file.fileno()))
            if not found.size:
                raise InvalidRequest("image_path", str(self._path), "a file that is not empty")
            upload, state = self._begun_before(found) or self._sent(file, found, moved)
        ended = state if state.finished else runs.watched(self._connection, self._settings, str(state.run), told)
        self._remember(upload, ended)
        return ended

    def _opened(self) -> BinaryIO:
        try:
            return self._path.open("rb")
        except OSError as error:
            allowed = f"a file of this machine that can be read ({error.strerror})"
            raise InvalidRequest("image_path", str(self._path), allowed) from error

    def _begun_before(self, found: Sent) -> tuple[KeptUpload, RunState] | None:
        """Return the run of a file already sent whole: the one that adds it, or a new one if that failed."""
        for upload in sorted(self._kept.of(self._connection.url, found), key=lambda one: one.request != self._request):
            try:
                if upload.is_refused:
                    return upload, self._again(upload)
                if upload.run and self._is_this(upload):
                    return upload, runs.state_of(self._connection, upload.run)
            except (UploadNotFound, RunNotFound):
                self._kept.forget(upload)
        return None

    def _again(self, upload: KeptUpload) -> RunState:
        """Start an add of bytes that the service has. Raises UploadNotFound if it has them no more."""
        self._sending.offset(upload.id)
        request = {**self._asked, "image_path": f"upload://{upload.id}", "image_id": upload.id}
        return runs.begin(self._connection, self._settings, self._operation, request)

    def _sent(self, file: BinaryIO, found: Sent, moved: Moved) -> tuple[KeptUpload, RunState]:
        """Resume the upload of an identical request, or send the whole file; return the run that adds it."""
        upload = next((one for one in self._kept.of(self._connection.url, found) if self._is_this(one)), None)
        try:
            return self._whole(upload or self._new(found), file, moved)
        except UploadNotFound:
            if upload is None:
                raise
            self._kept.forget(upload)
        if image := self._image(upload.id):  # it was sent whole, but the answer was lost
            return upload, _as_run(self._operation, image)
        return self._whole(self._new(found), file, moved)

    def _whole(self, upload: KeptUpload, file: BinaryIO, moved: Moved) -> tuple[KeptUpload, RunState]:
        """Send the missing bytes.

        A file that differs from its announcement, or has changed, is given up on both sides.
        """
        try:
            run = self._sending.send(
                upload.id, file, upload.file.size, moved, lambda: self._check_unchanged(file, upload.file)
            )
        except ImagewrightError as error:
            if isinstance(error, InvalidRequest) or (isinstance(error, ServiceRefused) and error.status == 422):
                self._sending.discard(upload.id)
                self._kept.forget(upload)
            raise
        state = RunState(run=run, state="Scheduled") if run else self._awaited(upload.id)
        upload = upload.model_copy(update={"run": "" if state.run == NO_RUN else str(state.run)})
        self._kept.keep(upload)
        return upload, state

    def _new(self, found: Sent) -> KeptUpload:
        upload_id = self._sending.create(self._operation.replace("-", "_"), self._request, found.size, self._path.name)
        upload = KeptUpload(
            id=upload_id, url=self._connection.url, operation=self._operation, request=self._request, file=found
        )
        self._kept.keep(upload)
        return upload

    def _awaited(self, upload_id: str) -> RunState:
        """Wait for the run that adds a whole upload and return it, or its outcome from the image's record.

        Raises ServiceRefused if none begins.
        """
        patience, since = Patience(self._settings), time.monotonic()
        while True:
            try:
                found, image = self._run_of(upload_id), self._image(upload_id)
            except ImagewrightError as error:
                patience.after(error)
                continue
            if found is not None:
                return found
            if image is not None and image.status in ENDED:
                return _as_run(self._operation, image)
            if image is None and time.monotonic() - since > BEGINS_WITHIN_S:
                raise ServiceRefused(self._connection.url, 503, "", LATER)
            time.sleep(1)

    def _run_of(self, upload_id: str) -> RunState | None:
        """Return the run of a whole upload, None if none is named or the upload is an image already."""
        with suppress(UploadNotFound):
            _, run = self._sending.offset(upload_id)
            return RunState(run=run, state="Scheduled") if run else None
        return None

    def _image(self, image_id: str) -> Image | None:
        path = f"/images/{segment(image_id)}"
        try:
            return parsed(Image, self._connection.ask("GET", path).value, self._connection.address(path))
        except ImageNotFound:
            return None

    def _remember(self, upload: KeptUpload, ended: RunState) -> None:
        """Delete the note of an upload that is an image; if the add failed, note that the bytes are there."""
        if ended.failed:
            self._kept.keep(upload.model_copy(update={"is_refused": True}))
        else:
            self._kept.forget(upload)

    def _is_this(self, upload: KeptUpload) -> bool:
        return (upload.operation, upload.request) == (self._operation, self._request)

    def _check_unchanged(self, file: BinaryIO, before: Sent) -> None:
        """Raise InvalidRequest if a file has changed since its upload began."""
        if facts(self._path, os.fstat(file.fileno())) != before:
            allowed = "a file that stays as it is while it is sent; send it again"
            raise InvalidRequest("image_path", str(self._path), allowed)


def _as_run(operation: str, image: Image) -> RunState:
    """Return the run that added an image, as far as the image's record shows it."""
    failed = image.status == "Error"
    return RunState(
        run=NO_RUN,
        operation=operation,
        state="Failed" if failed else "Completed",
        finished=True,
        failed=failed,
        message=image.error or "",
        result=None if failed else image.model_dump(mode="json"),
    )
