"""Links to exported files: unguessable, expiring, with Range and resume; the digests beside them.

A link is signed, not stored: it names the export and the moment it expires, under a key that only this installation has.
"""

import hmac
import os
import secrets
import time
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from catalog import open_catalog
from catalog.errors import ExportNotFound
from catalog.records import ExportedImage
from catalog.settings import Settings

KEY_BYTES = 32
GONE = JSONResponse({"error": "this link has expired, or its file was deleted; make a new one"}, 404)


class Downloads:
    """The endpoints of links."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._key = settings, _key(settings.home / "console.key")

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/exports/{id}/link", self.link, methods=["POST"]),
            Route("/download/{token}/{name}.md5", self.md5),
            Route("/download/{token}/{name}", self.file),
        ]

    async def link(self, request: Request) -> Response:
        """Make a link to an export."""
        export = await run_in_threadpool(self._export, request.path_params["id"])
        if export is None:
            return JSONResponse({"error": f"no export {request.path_params['id']!r}"}, 404)
        expires = int(time.time() + self._settings.link_hours * 3600)
        url = f"/download/{self._sign(export.id, expires)}/{Path(export.path).name}"
        return JSONResponse({"url": url, "expires_at": datetime.fromtimestamp(expires, UTC).isoformat()})

    async def file(self, request: Request) -> Response:
        """Serve the file, or the part that a Range asks for."""
        export = await run_in_threadpool(self._linked, request.path_params["token"])
        if export is None:
            return GONE
        headers = {
            "ETag": f'"{export.sha256}"',
            "Repr-Digest": f"md5=:{_base64(export.md5)}:, sha-256=:{_base64(export.sha256)}:",
            "Cache-Control": "private, no-transform",
        }
        return FileResponse(export.path, headers=headers, filename=Path(export.path).name)

    async def md5(self, request: Request) -> Response:
        """Give the line that `md5sum --check` reads."""
        export = await run_in_threadpool(self._linked, request.path_params["token"])
        return PlainTextResponse(f"{export.md5}  {Path(export.path).name}\n") if export else GONE

    def _linked(self, token: str) -> ExportedImage | None:
        """Return the export that a link names, None for a link that is forged or expired, or whose file is gone or not whole."""
        try:
            export_id, _, expires = urlsafe_b64decode(token.partition(".")[0]).decode().rpartition(" ")
            genuine = hmac.compare_digest(token.encode(), self._sign(export_id, int(expires)).encode())
        except ValueError:
            return None
        return self._export(export_id) if genuine and int(expires) > time.time() else None

    def _export(self, export_id: str) -> ExportedImage | None:
        with open_catalog(self._settings.catalog_address) as catalog:
            try:
                found = catalog.exported(export_id)
            except ExportNotFound:
                return None
        return found if _size(Path(found.path)) == found.size_bytes else None

    def _sign(self, export_id: str, expires: int) -> str:
        said = urlsafe_b64encode(f"{export_id} {expires}".encode()).decode()
        proof = urlsafe_b64encode(hmac.digest(self._key, said.encode(), sha256)).decode()
        return f"{said}.{proof}"


def _key(path: Path) -> bytes:
    """Return the installation's key, made when it is first asked for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid4().hex}")
    aside.touch(mode=0o600)
    aside.write_bytes(secrets.token_bytes(KEY_BYTES))
    with suppress(FileExistsError):
        os.link(aside, path)  # whole or not at all, however many processes start at once
    aside.unlink()
    return path.read_bytes()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _base64(digest: str) -> str:
    return b64encode(bytes.fromhex(digest)).decode()
