"""Links to exported files: unguessable, expiring, with Range and resume, and their digests.

A link is signed, not stored: it names the export and its expiry, under this installation's key.
"""

import hmac
from asyncio import Lock
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from catalog import open_catalog
from catalog.errors import DigestMismatch, ExportNotFound, ImageNotFound
from catalog.records import ExportedImage, Record, SignedIn
from catalog.rules.images.naming import download_name
from catalog.settings import Settings
from console.entrance.sealing import installation_key
from console.entrance.visitors import opened, visitor_of
from console.thread_pools import catalogs
from console.transfers.kept_file import KeptReader
from console.transfers.ranges import Offer, RangedAnswer
from console.visibility import Visibility
from storage.local_files import LocalReader
from storage.replicas.proven_files import look, looks
from tasks.images.kept_exports import is_kept, is_there, keeper_of
from tasks.images.proven_export import proven_export

GONE = JSONResponse({"error": "this link has expired, or its file was deleted; make a new one"}, 404)


CHANGED = JSONResponse(
    {"error": "the exported file was changed since it was made, and is not handed out; export the image again"},
    409,
)


class Offered(Record):
    """An export and the name for its download."""

    export: ExportedImage
    name: str


class ProvenReader(LocalReader):
    """Reads an exported file while it looks as it did when it was proven; otherwise the answer breaks off."""

    def __init__(self, export: ExportedImage) -> None:
        self._export = export
        super().__init__(Path(export.path))

    def read_at(self, offset: int, size: int) -> bytes:
        """Read a part, then check the file's look before the part is sent."""
        block = super().read_at(offset, size)
        if not looks(Path(self._export.path), self._export.proven):
            raise DigestMismatch(self._export.path, f"sha256:{self._export.sha256}", "a file that is changing")
        return block


def proven_file(offered: Offered, etag: str, settings: Settings) -> RangedAnswer:
    """Return an answer with an exported file, from this host's disk or from its image storage."""
    export = offered.export
    headers = headers_of(export.md5, export.sha256, offered.name)
    offer = Offer(size_bytes=export.size_bytes, etag=etag, headers=headers)
    return RangedAnswer(offer, lambda: _kept(export, settings) if is_kept(export.path) else ProvenReader(export))


def _kept(export: ExportedImage, settings: Settings) -> KeptReader:
    with open_catalog(settings.catalog_address) as catalog:
        return KeptReader(export, keeper_of(catalog, settings, export.image_storage))


def headers_of(md5: str | None, sha256: str | None, name: str) -> dict[str, str]:
    """Return the headers of a download: digests, and the file name."""
    digests = {"md5": md5, "sha-256": sha256}
    said = ", ".join(f"{kind}=:{_base64(digest)}:" for kind, digest in digests.items() if digest)
    return {
        **({"Repr-Digest": said} if said else {}),
        "Content-Disposition": disposition(name),
        "Cache-Control": "private, no-transform",
    }


def disposition(name: str) -> str:
    """Return the Content-Disposition of a download (RFC 6266), with an ASCII name and a UTF-8 name."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


class ExportedFiles:
    """Exported files, handed out only while they match their proof."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._proving, self._refused = Lock(), dict[str, str]()

    async def proven(self, export_id: str) -> Offered | None:
        """Return an export whose file matches its proof, reading it again if it was touched; None if it differs."""
        found = await catalogs(self.known, export_id)
        if found is None or is_kept(found.export.path) or looks(Path(found.export.path), found.export.proven):
            return found
        async with self._proving:  # one file is read at a time, by one thread
            return await catalogs(self._proven, export_id)

    def known(self, export_id: str) -> Offered | None:
        """Return an export whose file is there in its recorded size."""
        with open_catalog(self._settings.catalog_address) as catalog:
            try:
                export = catalog.exported(export_id)
                name = download_name(catalog.image(export.image_id), export)
            except (ExportNotFound, ImageNotFound):
                return None
            there = is_there(catalog, self._settings, export)
        return Offered(export=export, name=name) if there else None

    def _proven(self, export_id: str) -> Offered | None:
        """Return an export after reading its file again; a file that differed before is not read for every request."""
        found = self.known(export_id)
        if found is None or looks(Path(found.export.path), self._refused.get(export_id)):
            return None
        with suppress(OSError):
            before = look(Path(found.export.path))
            with open_catalog(self._settings.catalog_address) as catalog:
                export = proven_export(catalog, found.export)
            if export is not None:
                return Offered(export=export, name=found.name)
            self._refused[export_id] = before
        return None


class Downloads:
    """The endpoints of links."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._known_key = settings, b""
        self._files = ExportedFiles(settings)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/exports/{id}/link", self.link, methods=["POST"]),
            Route("/download/{token}/{name}.md5", self.md5),
            Route("/download/{token}/{name}", self.file),
        ]

    async def link(self, request: Request) -> Response:
        """Create a link to an export that the visitor sees."""
        export_id = request.path_params["id"]
        seen = await catalogs(self._sees, export_id, visitor_of(request))
        found = await self._export(export_id) if seen else GONE
        if isinstance(found, Response):
            return found
        expires = int(await catalogs(self._now) + self._settings.link_hours * 3600)
        url = f"/download/{self._sign(found.export.id, expires)}/{quote(found.name, safe='')}"
        return JSONResponse({"url": url, "expires_at": datetime.fromtimestamp(expires, UTC).isoformat()})

    def _sees(self, export_id: str, who: SignedIn) -> bool:
        with opened(self._settings, who) as catalog, suppress(ExportNotFound):
            return bool(Visibility(catalog, who).export(export_id))
        return False

    async def file(self, request: Request) -> Response:
        """Send the file, or the parts that a Range asks for."""
        found = await self._linked(request.path_params["token"])
        return found if isinstance(found, Response) else proven_file(found, f'"{found.export.sha256}"', self._settings)

    async def md5(self, request: Request) -> Response:
        """Return the line for `md5sum --check`."""
        found = await self._linked(request.path_params["token"])
        return found if isinstance(found, Response) else PlainTextResponse(f"{found.export.md5}  {found.name}\n")

    async def _linked(self, token: str) -> "Offered | Response":
        """Return a link's export, or the answer if the link is forged or expired, or the file has changed."""
        try:
            export_id, _, expires = urlsafe_b64decode(token.partition(".")[0]).decode().rpartition(" ")
            genuine = hmac.compare_digest(token.encode(), self._sign(export_id, int(expires)).encode())
        except ValueError:
            return GONE
        if not genuine or int(expires) <= await catalogs(self._now):
            return GONE
        return await self._export(export_id)

    def _now(self) -> float:
        """Return the catalog's time: consoles on several hosts create and check the same links."""
        with open_catalog(self._settings.catalog_address) as catalog:
            return catalog.now().timestamp()

    async def _export(self, export_id: str) -> "Offered | Response":
        if await catalogs(self._files.known, export_id) is None:
            return GONE
        return await self._files.proven(export_id) or CHANGED

    @property
    def _key(self) -> bytes:
        """The installation's key, the same on all of its hosts."""
        self._known_key = self._known_key or installation_key(self._settings)
        return self._known_key

    def _sign(self, export_id: str, expires: int) -> str:
        said = urlsafe_b64encode(f"{export_id} {expires}".encode()).decode()
        proof = urlsafe_b64encode(hmac.digest(self._key, said.encode(), sha256)).decode()
        return f"{said}.{proof}"


def _base64(digest: str) -> str:
    return b64encode(bytes.fromhex(digest)).decode()
