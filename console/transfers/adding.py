"""Start the add of a whole upload: with its last byte, or as soon as the Prefect server accepts it."""

import asyncio
import json
import logging
from contextlib import suppress

from starlette.concurrency import run_in_threadpool

from catalog.errors import ImagewrightError, StorageError, UploadNotFound
from catalog.settings import Settings
from console.starting import Started, start
from storage.uploads import Upload, Uploads
from tasks.runtime.runs.acting import Caller, tags_of
from tasks.runtime.uploads import open_uploads

AGAIN_S = 10.0
log = logging.getLogger("imagewright.console")


class Adding:
    """Starts adds of whole uploads, each once unless requested again."""

    def __init__(self, settings: Settings) -> None:
        self._uploads = open_uploads(settings)

    async def begin(self, upload: Upload) -> Started:
        """Start a run; a repeated call before it has begun returns the same run. Raises ServerUnavailable."""
        runs = await run_in_threadpool(self._uploads.runs, upload.id)
        key = f"upload-{upload.id}" + (f"-{len(runs)}" if runs else "")
        tags = tags_of(Caller(upload.identity, upload.door))
        started = await start(upload.flow, json.loads(upload.request), key=key, tags=tags)
        with suppress(UploadNotFound):  # the image is Ready already
            await run_in_threadpool(self._uploads.begin_run, upload.id, str(started.flow_run_id))
        return started

    async def begin_once(self, upload: Upload) -> None:
        """Start a run unless one was started. Raises as `begin`."""
        if not await run_in_threadpool(self._uploads.runs, upload.id):
            await self.begin(upload)

    async def go_on(self) -> None:
        """Keep starting adds that could not start with their last byte, as the server was away or this process died."""
        while True:
            for upload in await run_in_threadpool(self._waiting):
                await self._try(upload)
            await asyncio.sleep(AGAIN_S)

    async def _try(self, upload: Upload) -> None:
        try:
            await self.begin_once(upload)
        except ImagewrightError as error:
            log.warning("the add of upload %s waits: %s", upload.id, error)
        except Exception:  # an add that can't be started delays no other
            log.exception("the add of upload %s could not be begun", upload.id)

    def _waiting(self) -> list[Upload]:
        found = []
        for upload in self._uploads.all():
            with suppress(UploadNotFound, StorageError):
                if is_waiting(self._uploads, upload):
                    found.append(upload)
        return found


def is_waiting(uploads: Uploads, upload: Upload) -> bool:
    """Tell whether an upload is whole and no run was started to add it. Raises UploadNotFound."""
    whole = uploads.offset(upload.id) == upload.length
    return whole and not uploads.runs(upload.id) and not uploads.refusal(upload.id)
