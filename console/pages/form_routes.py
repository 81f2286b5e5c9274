"""Endpoints for forms while they are filled in, and for the digests of an image."""

import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from catalog.errors import ImageNotFound, InvalidRequest
from catalog.records import ImageStatus, SignedIn
from catalog.settings import Settings
from console.entrance.bodies import body_of
from console.entrance.visitors import opened, visitor_of
from console.look.language import Words, language_of
from console.pages.actions import permitted
from console.pages.guiding import Guides, guides
from console.runs import MAX_BODY
from console.thread_pools import catalogs
from console.visibility import Visibility
from flows.registry import OPERATIONS


class FormRoutes:
    """The endpoints."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/rules/{flow}", self.rules, methods=["POST"]),
            Route("/api/images/{id}/digests", self.digests),
        ]

    async def rules(self, request: Request) -> Response:
        """Return the fields of a form for its present input, and what is not allowed; start nothing."""
        flow, who = request.path_params["flow"], visitor_of(request)
        if flow not in OPERATIONS or not permitted(who, flow):
            return JSONResponse({"error": f"no form of {flow!r}"}, 404)
        try:
            said = json.loads(await body_of(request, MAX_BODY))
        except (InvalidRequest, ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            return JSONResponse({"error": "what stands in the form has to be the JSON of an object"}, 422)
        sent = bool(said.pop("file", False))
        found = await catalogs(self._guides, who, flow, said, Words(language_of(request)), sent)
        told = {name: json.loads(guide.model_dump_json(exclude_defaults=True)) for name, guide in found.items()}
        return JSONResponse({"fields": told})

    def _guides(self, who: SignedIn, flow: str, said: dict[str, object], t: Words, sent: bool) -> Guides:
        with opened(self._settings, who) as catalog:
            return guides(Visibility(catalog, who), flow, said, t, sent=sent)

    async def digests(self, request: Request) -> Response:
        """Return the proven facts of an image's original file: `proven` once it is Ready, its bytes and SHA-256."""
        found = await catalogs(self._digests, request.path_params["id"], visitor_of(request))
        return JSONResponse(found)

    def _digests(self, image_id: str, who: SignedIn) -> dict[str, object]:
        try:
            with opened(self._settings, who) as catalog:
                image = Visibility(catalog, who).image(image_id)
        except ImageNotFound:  # the image may not exist yet; the page asks again later
            return {"proven": False}
        proven = image.status is ImageStatus.READY and image.sha256 is not None
        return {"proven": proven, "size_bytes": image.size_bytes, "sha256": image.sha256}
