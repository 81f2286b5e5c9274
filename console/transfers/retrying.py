"""Retry failed adds: with the same request, or, for a stored upload, with a corrected announcement."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from prefect.exceptions import ObjectNotFound
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from catalog.errors import ImagewrightError, InvalidRequest, UploadNotFound
from catalog.log import events
from catalog.records import Image, SignedIn
from catalog.rules.accounts.roles import require
from catalog.rules.accounts.sharing import require_owner
from catalog.rules.images.transitions import status_after
from catalog.settings import Settings
from console.authority import allowed, checked
from console.entrance.bodies import body_of
from console.entrance.visitors import DOOR, caller_of, is_operator, opened, visitor_of
from console.runs import MAX_BODY, refused
from console.starting import LIMIT_S, SILENT, UNREACHABLE, ServerUnavailable, Started, start
from console.thread_pools import catalogs, rooms
from console.transfers.adding import Adding
from console.transfers.announcing import FLOWS, announced, object_of, request_for, row_named
from console.transfers.receiving import judge
from console.visibility import Visibility, sees_upload
from flows.registry import OPERATIONS
from flows.server.client import prefect_client
from storage.sources.masking import STARS
from storage.uploads import Upload
from tasks.add.register import ASKED, as_asked
from tasks.add.uploads import promise_room
from tasks.runtime.runs.acting import tags_of
from tasks.runtime.uploads import open_uploads

BEGINNINGS = (events.IMAGE_ADDING, events.IMAGE_RESUMED)
RENAMED = {"format": "image_format", "source": "image_path", "owner": "account"}
"""Field of an image → field of the request, if different."""


@dataclass(frozen=True, slots=True)
class Failed:
    """An image whose add failed. run: the last attempt; asked: the request in the log."""

    image: Image
    run: str | None
    asked: Mapping[str, object]

    @property
    def flow(self) -> str:
        """The flow that adds it."""
        return next(row.name for row in OPERATIONS.values() if row.adds == self.image.image_type)


class Retrying:
    """The endpoints for retries."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._uploads, self._adding = settings, open_uploads(settings), Adding(settings)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/retry/{id}", self.retry, methods=["POST"]),
            Route("/api/uploads/{id}/{flow}", self.correct, methods=["POST"]),
        ]

    async def retry(self, request: Request) -> Response:
        """Repeat the same add: 202 with its run."""
        image_id, who = request.path_params["id"], visitor_of(request)
        try:
            require(who, "add", "retry adds")
            upload = await catalogs(self._kept, image_id, who)
            if upload is not None:
                started = await self._adding.begin(upload)
            else:
                started = await self._again(await catalogs(self._failed, image_id, who), who)
        except ImagewrightError as error:
            return refused(error)
        return JSONResponse(started.model_dump(mode="json"), 202)

    async def correct(self, request: Request) -> Response:
        """Correct an upload's announcement.

        A whole upload is added: 202 with its run; else 200, and the rest may be sent.
        """
        upload_id, flow, who = request.path_params["id"], request.path_params["flow"], visitor_of(request)
        try:
            said = object_of(await body_of(request, MAX_BODY))
            upload, draft = await catalogs(self._corrected, upload_id, flow, said, who)
            await catalogs(judge, self._settings, self._uploads, upload)
            bucket = await catalogs(self._uploads.bucket_of, upload_id)
            await rooms(promise_room, draft, upload.length, bucket)
            await catalogs(self._uploads.correct, upload)
            if await catalogs(self._uploads.offset, upload_id) < upload.length:
                return JSONResponse({"rest": f"/uploads/{upload_id}"})
            started = await self._adding.begin(upload)
        except (ImagewrightError, ValidationError) as error:
            return refused(error)
        return JSONResponse(started.model_dump(mode="json"), 202)

    def _kept(self, upload_id: str, who: SignedIn) -> Upload | None:
        """Return the upload of an id if it is whole and the visitor sees it, else None."""
        try:
            upload = self._uploads.get(upload_id)
        except UploadNotFound:
            return None
        whole = self._uploads.offset(upload_id) == upload.length
        return upload if whole and sees_upload(who, upload) else None

    def _corrected(self, upload_id: str, flow: str, said: dict[str, object], who: SignedIn) -> tuple[Upload, Image]:
        """Return an upload with its new announcement.

        Raises NotAllowed, UploadNotFound also for another account's upload.
        """
        require(who, "add", "announce files")
        known, row = self._uploads.get(upload_id), row_named(flow)
        if not sees_upload(who, known):
            raise UploadNotFound(upload_id)
        asked = checked(self._settings, who, row, request_for(upload_id, flow, said), DOOR)
        upload, draft = announced(upload_id, flow, asked, known.length, known.filename)
        if not known.is_for(upload.owner):
            raise UploadNotFound(upload_id)
        kept = {name: getattr(known, name) for name in ("created_at", "identity", "door")}
        return upload.model_copy(update=kept), draft

    def _failed(self, image_id: str, who: SignedIn) -> Failed:
        """Return an image whose add failed. Raises ImageNotFound, AccessDenied, IllegalTransition."""
        with opened(self._settings, who) as catalog:
            visibility = Visibility(catalog, who)
            image = visibility.image(image_id)
            require_owner(image, catalog.viewer(visibility.account), "retry")
            status_after(image, "download")
            begun = [e.run_id for e in catalog.events(image_id) if e.kind in BEGINNINGS and e.run_id]
            return Failed(image, begun[-1] if begun else None, as_asked(catalog, image))

    async def _again(self, failed: Failed, who: SignedIn) -> Started:
        """Repeat the failed run. A second press finds the run that the first one started."""
        request = await _request_of(failed.run) or _rebuilt(failed)
        key = f"retry-{failed.image.id}-{failed.image.version}"
        again = {**request, "image_id": failed.image.id, "plan_only": False}
        if not is_operator(who):  # only an administrator may repeat an administrator's use of secrets or host files
            row = row_named(failed.flow)
            again = allowed(who, row, row.request.model_validate(again)).model_dump(mode="json", exclude_unset=True)
        return await start(failed.flow, again, key=key, tags=tags_of(caller_of(who)))


async def _request_of(run: str | None) -> dict[str, object] | None:
    """Return a run's request, None if the server does not know the run. Raises ServerUnavailable."""
    try:
        async with asyncio.timeout(LIMIT_S), prefect_client() as client:
            found = await client.read_flow_run(UUID(run or ""))
    except (ObjectNotFound, ValueError):
        return None
    except UNREACHABLE as error:
        raise ServerUnavailable(SILENT) from error
    request = found.parameters.get("request")
    return request if isinstance(request, dict) else None


def _rebuilt(failed: Failed) -> dict[str, object]:
    """Rebuild the request from the image's record. Raises InvalidRequest if a password is masked there."""
    fields = FLOWS[failed.flow].model_fields
    named = {RENAMED.get(name, name): failed.asked.get(name) for name in (*ASKED, "image_storages")}
    request = {name: value for name, value in named.items() if name in fields and value is not None}
    if STARS in f"{request.get('image_path')}{request.get('expected_checksum')}":
        allowed = "its password is not kept: add it again with this image_id and the whole address"
        raise InvalidRequest("image_id", failed.image.id, allowed)
    return request
