"""Reading: the records that the commands print with `--json`, in pages. What an identity may not see does not exist for it."""

from collections.abc import Callable, Iterator
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from catalog.errors import ImageNotFound, OtherAccount
from catalog.records import (
    Architecture,
    Event,
    ExportedImage,
    Family,
    Image,
    ImageFormat,
    ImageStatus,
    ImageStorage,
    ImageType,
    Leftover,
    Promotion,
    Record,
    Replica,
    SignedIn,
    Volume,
    Watch,
)
from catalog.repository.reading.image_filter import AVAILABLE
from catalog.rules.accounts.sharing import ADMIN
from catalog.settings import Settings
from catalog.store import record_kinds
from catalog.store.record_kinds import Place, RecordKind
from console.api.v1.pages import MOST, USUAL, Page, cursors, cut
from console.api.v1.signing import Here, Who, opened
from console.thread_pools import catalogs
from console.visibility import Visibility, storage_as_seen

router = APIRouter(tags=["Reading"])
R = TypeVar("R", bound=Record)
T = TypeVar("T")
PLAIN = r"^[^\x00]*$"
"""Text that every database can be asked for."""
Id = Annotated[str, Path(max_length=256, pattern=PLAIN)]


class Asked(BaseModel):
    """What every listing takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account: str | None = Field(
        None, max_length=256, pattern=PLAIN, description="Only what this account sees; an administrator's."
    )
    limit: int = Field(USUAL, ge=1, le=MOST, description="Most items of a page.")
    cursor: str | None = Field(None, max_length=4096, description="The `next` of the page before.")


class AskedImages(Asked):
    """Filters of images; all have to hold."""

    status: tuple[ImageStatus, ...] = Field((), description="Only these; left out: all but those in the recycle bin.")
    name_pattern: str = Field("*", max_length=256, pattern=PLAIN, description="`*` any characters, `?` one.")
    owner: str | None = Field(None, max_length=256, pattern=PLAIN)
    image_storage: str | None = Field(None, max_length=256, pattern=PLAIN, description="Only what this storage holds.")
    image_type: ImageType | None = None
    format: ImageFormat | None = None
    family: str | None = Field(None, max_length=256, pattern=PLAIN)
    deprecated: bool | None = None
    changed_since: AwareDatetime | None = None
    os: str | None = Field(None, max_length=256, pattern=PLAIN)
    version: str | None = Field(None, max_length=256, pattern=PLAIN, description="As its publisher gave it.")
    arch: Architecture | None = None
    label: tuple[Annotated[str, Field(max_length=256, pattern=PLAIN)], ...] = Field(
        (), max_length=16, description="key=value; again: with each."
    )


class AskedOfImage(Asked):
    """What listings of things that belong to images take."""

    image_id: str | None = Field(None, max_length=256, pattern=PLAIN)


class AskedEvents(AskedOfImage):
    """What the log can be asked for."""

    since: int = Field(
        0, ge=0, lt=1 << 62, description="Only entries after this sequence number: where a feed goes on."
    )


class AskedWatches(Asked):
    """What the listing of watches takes."""

    family: str | None = Field(None, max_length=256, pattern=PLAIN)


class AskedPromotions(AskedWatches):
    """What the listing of promotions takes."""

    arch: Architecture | None = None


Found = Callable[[Visibility, Place | None], Iterator[R]]


def listing(
    settings: Settings,
    who: SignedIn,
    asked: Asked,
    kind: RecordKind[R],
    found: Found[R],
    seen: Callable[[Visibility, R], bool],
    shown: Callable[[SignedIn, R], R] = lambda _who, record: record,
) -> Page[R]:
    """Return a page. found: what there is from a place on; seen: what of it whoever asks sees; shown: how they see it."""
    if asked.account is not None and who.identity.role != ADMIN and asked.account != who.identity.account:
        raise OtherAccount(who.identity.name, asked.account, who.identity.account)
    filters = asked.model_dump_json(exclude={"cursor", "limit"})
    ours = cursors(settings, kind.table, filters, who.identity.name)
    place = ours.read(asked.cursor)
    with opened(settings, who) as catalog:
        visibility = Visibility(catalog, who, asked.account)
        items, end = cut(found(visibility, place), lambda record: seen(visibility, record), asked.limit, kind)
    return Page(items=tuple(shown(who, item) for item in items), next=ours.write(end) if end else None)


def one(settings: Settings, who: SignedIn, find: Callable[[Visibility], T]) -> T:
    """Return what is found with the eyes of whoever asks."""
    with opened(settings, who) as catalog:
        return find(Visibility(catalog, who))


@router.get("/images")
async def images(asked: Annotated[AskedImages, Query()], who: Who, settings: Here) -> Page[Image]:
    """List images, newest first."""

    def found(visibility: Visibility, after: Place | None) -> Iterator[Image]:
        if asked.image_storage is not None:
            visibility.catalog.image_storage(asked.image_storage)
        return visibility.catalog.images(
            status=asked.status or AVAILABLE, name_pattern=asked.name_pattern, owner=asked.owner, account=visibility.account,
            image_storage=asked.image_storage, image_type=asked.image_type, family=asked.family, format=asked.format,
            deprecated=asked.deprecated, changed_since=asked.changed_since, os=asked.os, build_version=asked.version,
            cpu_architecture=asked.arch, labels=asked.label, after=after,
        )  # fmt: skip

    return await catalogs(listing, settings, who, asked, record_kinds.IMAGE, found, Visibility.sees)


@router.get("/images/{image_id}")
async def image(image_id: Id, who: Who, settings: Here) -> Image:
    """Show an image."""
    return await catalogs(one, settings, who, lambda visibility: visibility.image(image_id))


@router.get("/images/{image_id}/replicas")
async def replicas(image_id: Id, who: Who, settings: Here) -> Page[Replica]:
    """Show where an image lies."""

    def found(visibility: Visibility) -> tuple[Replica, ...]:
        return tuple(visibility.catalog.replicas(visibility.image(image_id).id))

    return Page(items=await catalogs(one, settings, who, found))


@router.get("/bin")
async def recycle_bin(asked: Annotated[Asked, Query()], who: Who, settings: Here) -> Page[Image]:
    """List the recycle bin, newest image first."""

    def found(visibility: Visibility, after: Place | None) -> Iterator[Image]:
        return visibility.catalog.images(status=ImageStatus.DELETED, account=visibility.account, after=after)

    return await catalogs(listing, settings, who, asked, record_kinds.IMAGE, found, Visibility.sees)


@router.get("/exports")
async def exports(asked: Annotated[AskedOfImage, Query()], who: Who, settings: Here) -> Page[ExportedImage]:
    """List exported images, newest first."""
    return await catalogs(
        listing, settings, who, asked, record_kinds.EXPORT,
        lambda visibility, after: visibility.catalog.listed(record_kinds.EXPORT, after, image_id=asked.image_id),
        lambda visibility, export: visibility.of(export.image_id),
    )  # fmt: skip


@router.get("/exports/{export_id}")
async def export(export_id: Id, who: Who, settings: Here) -> ExportedImage:
    """Show an exported image."""
    return await catalogs(one, settings, who, lambda visibility: visibility.export(export_id))


@router.get("/leftovers")
async def leftovers(asked: Annotated[AskedOfImage, Query()], who: Who, settings: Here) -> Page[Leftover]:
    """List what changes of storage left on their sources, newest first."""
    return await catalogs(
        listing, settings, who, asked, record_kinds.LEFTOVER,
        lambda visibility, after: visibility.catalog.listed(record_kinds.LEFTOVER, after, image_id=asked.image_id),
        lambda visibility, left: visibility.of(left.image_id),
    )  # fmt: skip


@router.get("/storages")
async def storages(asked: Annotated[Asked, Query()], who: Who, settings: Here) -> Page[ImageStorage]:
    """List image storages by name; under which name their credentials are kept, administrators see."""
    return await catalogs(
        listing, settings, who, asked, record_kinds.IMAGE_STORAGE,
        lambda visibility, after: visibility.catalog.listed(record_kinds.IMAGE_STORAGE, after), lambda _visibility, _storage: True,
        storage_as_seen,
    )  # fmt: skip


@router.get("/volumes")
async def volumes(asked: Annotated[AskedOfImage, Query()], who: Who, settings: Here) -> Page[Volume]:
    """List volumes, newest first: one's account's own."""
    return await catalogs(
        listing, settings, who, asked, record_kinds.VOLUME,
        lambda visibility, after: visibility.catalog.listed(record_kinds.VOLUME, after, image_id=asked.image_id),
        lambda visibility, volume: visibility.owns(volume.owner, volume.image_id),
    )  # fmt: skip


@router.get("/volumes/{volume_id}")
async def volume(volume_id: Id, who: Who, settings: Here) -> Volume:
    """Show a volume."""
    return await catalogs(one, settings, who, lambda visibility: visibility.volume(volume_id))


@router.get("/events")
async def events(asked: Annotated[AskedEvents, Query()], who: Who, settings: Here) -> Page[Event]:
    """List the event log, oldest first: a feed that goes on with `since`, the last sequence number that was read."""
    return await catalogs(
        listing, settings, who, asked, record_kinds.EVENT,
        lambda visibility, after: visibility.catalog.listed(
            record_kinds.EVENT, after or ((asked.since,) if asked.since else None), image_id=asked.image_id
        ),
        lambda visibility, event: visibility.of(event.image_id),
    )  # fmt: skip


@router.get("/families")
async def families(asked: Annotated[Asked, Query()], who: Who, settings: Here) -> Page[Family]:
    """List families and their rules by name: those that a token's scope leaves."""
    return await catalogs(
        listing, settings, who, asked, record_kinds.FAMILY,
        lambda visibility, after: visibility.catalog.listed(record_kinds.FAMILY, after),
        lambda visibility, family: visibility.sees_family(family.name),
    )  # fmt: skip


@router.get("/watches")
async def watches(asked: Annotated[AskedWatches, Query()], who: Who, settings: Here) -> Page[Watch]:
    """List what is watched for new builds, by name: of the families that a token's scope leaves."""
    return await catalogs(
        listing, settings, who, asked, record_kinds.WATCH,
        lambda visibility, after: visibility.catalog.listed(record_kinds.WATCH, after, family=asked.family),
        lambda visibility, watch: visibility.sees_family(watch.family),
    )  # fmt: skip


@router.get("/promotions")
async def promotions(asked: Annotated[AskedPromotions, Query()], who: Who, settings: Here) -> Page[Promotion]:
    """List what families promoted and went back from, the oldest first: of those that a token's scope leaves."""
    return await catalogs(
        listing, settings, who, asked, record_kinds.PROMOTION,
        lambda visibility, after: visibility.catalog.listed(
            record_kinds.PROMOTION, after, family=asked.family, cpu_architecture=asked.arch
        ),
        lambda visibility, promotion: visibility.sees_family(promotion.family),
    )  # fmt: skip


@router.get("/families/{family}/latest")
async def latest(family: Id, who: Who, settings: Here, arch: Architecture = "x86_64") -> Image:
    """Show the latest image of a family for an architecture: what was promoted, else the newest enabled, Ready one."""

    def found(visibility: Visibility) -> Image:
        image = visibility.catalog.latest(family, arch, account=visibility.account)
        if not visibility.sees(image):
            raise ImageNotFound("latest", f"of family {family!r} for {arch}")
        return image

    return await catalogs(one, settings, who, found)
