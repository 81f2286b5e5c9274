"""Which bytes a request needs, and so which host can do it.

| `bytes_at` of the operation's row | the host has to reach |
|---|---|
| named storages | each storage that the request names, and the file that was sent |
| own storage | the storage that is registered or set |
| a replica | any one whole replica of the image |
| exports, all of the image | all of them; where that is several hosts, each deletes its own later |
| primary storage, volume | the primary storage |
| primary storage and a replica | both, unless the image is cached there |
| each host | nothing: each host does what only it reaches |
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel

from catalog.errors import NotFound
from catalog.records import ReplicaStatus
from catalog.rules.storages.hosts import Need, bound_to
from catalog.rules.storages.sources import UPLOAD
from catalog.settings import load_settings
from tasks.runtime.export_places import host_of_export

if TYPE_CHECKING:
    from catalog.repository.reading.reading import Reading

NAMING = ("image_storages", "image_storage", "source", "target")
"""Fields of requests that name image storages."""


def needs_of(bytes_at: str, catalog: "Reading", request: BaseModel, here: str) -> tuple[Need, ...]:
    """Return what a host must reach to do this request; nothing if any host can, or if a name in it is unknown.

    here: the host that was asked; it becomes the owner of a directory registered for the first time.
    """
    try:
        return tuple(PLACES[bytes_at](catalog, request)) if bytes_at in PLACES else ()
    except NotFound:  # the operation itself raises the best error, on any host
        new = bytes_at == "own storage" and str(getattr(request, "url", "")).startswith("file:")
        return ({("storage", str(getattr(request, "name", ""))): here},) if new else ()


def _named(catalog: "Reading", request: BaseModel) -> Iterator[Need]:
    for name in names_in(request):
        yield {("image storage", name): bound_to(catalog.image_storage(name))}
    for asked in (request, *_several(request)):
        scheme, _, upload_id = str(getattr(asked, "image_path", "")).partition("://")
        if scheme == UPLOAD and upload_id:
            yield {("upload", upload_id): catalog.upload_host(upload_id)}


def names_in(request: BaseModel) -> Sequence[str]:
    """Return the names of image storages in a request and in the requests nested in it."""
    found = (getattr(asked, field, None) for asked in (request, *_several(request)) for field in NAMING)
    return [name for value in found if value for name in ((value,) if isinstance(value, str) else value)]


def _several(request: BaseModel) -> Sequence[BaseModel]:
    """Return the requests nested in a request for many images: one host does them all."""
    return tuple(getattr(request, "requests", ()))


def _own(catalog: "Reading", request: BaseModel) -> Iterator[Need]:
    name, host = str(getattr(request, "name", "")), getattr(request, "host", None)
    primary = "primary" in type(request).__name__.lower()
    if host:
        yield {("storage", name): str(host)}
    else:
        yield {("storage", name): bound_to(catalog.primary_storage(name) if primary else catalog.image_storage(name))}


def _a_replica(catalog: "Reading", request: BaseModel) -> Iterator[Need]:
    asked = getattr(request, "image_storage", None)
    ready = [r for r in catalog.replicas(_image_id(request)) if r.status is ReplicaStatus.READY]
    yield _of_storages(catalog, [r.image_storage for r in ready if asked in (None, r.image_storage)])


def _exports(catalog: "Reading", request: BaseModel) -> Iterator[Need]:
    for export in catalog.exports(_image_id(request), image_storage=getattr(request, "image_storage", None)):
        if getattr(request, "image_format", None) in (None, export.format):
            yield {("export", export.id): host_of_export(catalog, load_settings(), export)}


def _all_of_image(catalog: "Reading", request: BaseModel) -> Iterator[Need]:
    for image_id in getattr(request, "image_ids", ()):
        storages = [r.image_storage for r in catalog.replicas(image_id)]
        storages += [left.image_storage for left in catalog.leftovers(image_id=image_id)]
        yield from (_of_storages(catalog, [name]) for name in storages)
        yield from ({("export", e.id): host_of_export(catalog, load_settings(), e)} for e in catalog.exports(image_id))


def _primary(catalog: "Reading", request: BaseModel) -> Iterator[Need]:
    name = str(getattr(request, "primary_storage", ""))
    yield {("primary storage", name): bound_to(catalog.primary_storage(name))}


def _primary_and_replica(catalog: "Reading", request: BaseModel) -> Iterator[Need]:
    yield from _primary(catalog, request)
    if catalog.cached_image(_image_id(request), str(getattr(request, "primary_storage", ""))) is None:
        yield from _a_replica(catalog, request)


def _volume(catalog: "Reading", request: BaseModel) -> Iterator[Need]:
    volume = catalog.volume(str(getattr(request, "volume_id", "")))
    yield {("volume", volume.id): bound_to(catalog.primary_storage(volume.primary_storage))}


def _of_storages(catalog: "Reading", names: Sequence[str]) -> Need:
    return {("image storage", name): bound_to(catalog.image_storage(name)) for name in names}


def _image_id(request: BaseModel) -> str:
    return str(getattr(request, "image_id", ""))


PLACES: Mapping[str, Callable[["Reading", BaseModel], Iterator[Need]]] = {
    "named storages": _named,
    "own storage": _own,
    "a replica": _a_replica,
    "exports": _exports,
    "all of the image": _all_of_image,
    "primary storage": _primary,
    "primary storage and a replica": _primary_and_replica,
    "volume": _volume,
}
AS_FAR_AS_CAN_BE = ("exports", "all of the image")
"""Deletions: whatever can't be deleted here or now becomes deferred work, so the run never waits for it."""
EACH_HOST = "each host"
