"""The add of what was uploaded whole: begun with the last byte, or as soon as the Prefect server takes it."""

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
    """Begins adds of whole uploads, each once unless it is asked for again."""

    def __init__(self, settings: Settings) -> None:
        self._uploads = open_uploads(settings)

    async def begin(self, upload: Upload) -> Started:
        """Start a run; asked for again while none is begun, it is the same one. Raises ServerUnavailable."""
        runs = await run_in_threadpool(self._uploads.runs, upload.id)
        key = f"upload-{upload.id}" + (f"-{len(runs)}" if runs else "")
        tags = tags_of(Caller(upload.identity, upload.door))
        started = await start(upload.flow, json.loads(upload.request), key=key, tags=tags)
        with suppress(UploadNotFound):  # it is Ready already
            await run_in_threadpool(self._uploads.begin_run, upload.id, str(started.flow_run_id))
        return started

    async def begin_once(self, upload: Upload) -> None:
        """Start a run unless one was begun. Raises as `begin`."""
        if not await run_in_threadpool(self._uploads.runs, upload.id):
            await self.begin(upload)

    async def go_on(self) -> None:
        """Begin, for ever, what could not be begun when its last byte came: the server was away, or this process died."""
        while True:
            for upload in await run_in_threadpool(self._waiting):
                await self._try(upload)
            await asyncio.sleep(AGAIN_S)

    async def _try(self, upload: Upload) -> None:
        try:
            await self.begin_once(upload)
        except ImagewrightError as error:
            log.warning("the add of upload %s waits: %s", upload.id, error)
        except Exception:  # one that can't be begun holds up no other
            log.exception("the add of upload %s could not be begun", upload.id)

    def _waiting(self) -> list[Upload]:
        found = []
        for upload in self._uploads.all():
            with suppress(UploadNotFound, StorageError):
                if is_waiting(self._uploads, upload):
                    found.append(upload)
        return found


def is_waiting(uploads: Uploads, upload: Upload) -> bool:
    """Tell whether an upload is whole and no run was asked to add it. Raises UploadNotFound."""
    whole = uploads.offset(upload.id) == upload.length
    return whole and not uploads.runs(upload.id) and not uploads.refusal(upload.id)
