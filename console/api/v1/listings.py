"""Reading: the records that the commands print with `--json`, in pages. What an identity may not see does not exist for it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, TypeVar

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from catalog.errors import OtherAccount
from catalog.records import (
    Architecture,
    Event,
    ExportedImage,
    Image,
    ImageFormat,
    ImageStatus,
    ImageType,
    Leftover,
    Promotion,
    Record,
    Replica,
    SignedIn,
    Volume,
    Watch,
)
from catalog.rules.accounts.roles import require
from catalog.rules.accounts.sharing import ADMIN
from catalog.settings import Settings
from catalog.store import record_kinds
from catalog.store.record_kinds import Place, RecordKind
from console.api.v1.pages import MOST, USUAL, Cursors, Page, cursors, cut
from console.api.v1.signing import Here, Who, opened
from console.thread_pools import catalogs
from console.visibility import Visibility, storage_as_seen

router = APIRouter(tags=["Reading"])
A = TypeVar("A", bound="Asked")
R = TypeVar("R", bound=Record)
T = TypeVar("T")
PLAIN = r"^[^\x00]*$"
"""Text that every database can be asked for."""
Id = Annotated[str, Path(max_length=256, pattern=PLAIN)]


class Asked(BaseModel):
    """Parameters of every listing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account: str | None = Field(
        None, max_length=256, pattern=PLAIN, description="Only what this account sees; for administrators."
    )
    limit: int = Field(USUAL, ge=1, le=MOST, description="Maximum number of items on a page.")
    cursor: str | None = Field(None, max_length=4096, description="The `next` of the previous page.")

    def fields(self) -> Mapping[str, str | None]:
        """Return the fields of records that are asked for beyond that."""
        return self.model_dump(exclude=set(Asked.model_fields))


class AskedImages(Asked):
    """Filters of images; all must match."""

    status: tuple[ImageStatus, ...] = Field(
        (), description="Only images with these statuses; left out: all except those in the recycle bin."
    )
    name_pattern: str = Field(
        "*", max_length=256, pattern=PLAIN, description="Pattern of image names: `*` matches any characters, `?` one."
    )
    owner: str | None = Field(None, max_length=256, pattern=PLAIN)
    image_storage: str | None = Field(
        None, max_length=256, pattern=PLAIN, description="Only images that this storage holds."
    )
    image_type: ImageType | None = None
    format: ImageFormat | None = None
    family: str | None = Field(None, max_length=256, pattern=PLAIN)
    deprecated: bool | None = None
    changed_since: AwareDatetime | None = None
    os: str | None = Field(None, max_length=256, pattern=PLAIN)
    version: str | None = Field(None, max_length=256, pattern=PLAIN, description="Version as its publisher gave it.")
    arch: Architecture | None = None
    label: tuple[Annotated[str, Field(max_length=256, pattern=PLAIN)], ...] = Field(
        (), max_length=16, description="Label as key=value; given several times: images with all of them."
    )


class AskedOfImage(Asked):
    """Parameters of listings of things that belong to images."""

    image_id: str | None = Field(None, max_length=256, pattern=PLAIN)


class AskedEvents(AskedOfImage):
    """Parameters of the event log."""

    since: int = Field(
        0, ge=0, lt=1 << 62, description="Only entries after this sequence number, with which a feed continues."
    )


class AskedWatches(Asked):
    """Parameters of the listing of watches."""

    family: str | None = Field(None, max_length=256, pattern=PLAIN)


class AskedPromotions(AskedWatches):
    """Parameters of the listing of promotions."""

    arch: Architecture | None = None


def listing(
    router: APIRouter,
    name: str,
    about: str,
    kind: RecordKind[R],
    asked_of: type[A],
    *,
    path: str = "",
    administers: str = "",
    found: Callable[[Visibility, A, Place | None], Iterator[R]] | None = None,
    seen: Callable[[Visibility, R], bool] = lambda _visibility, _record: True,
    shown: Callable[[SignedIn, R], R] = lambda _who, record: record,
) -> None:
    """Add a listing to a router, below its name or another path.

    administers: what only an administrator does; found: what there is from a place on, left out: what has the fields
    that are asked for; seen: what of it whoever asks sees; shown: how they see it.
    """

    def page(settings: Settings, who: SignedIn, asked: A) -> Page[R]:
        ours = _cursors(settings, who, asked, kind.table)
        place = ours.read(asked.cursor)
        with opened(settings, who) as catalog:
            visibility = Visibility(catalog, who, asked.account)
            there = found(visibility, asked, place) if found else catalog.listed(kind, place, **asked.fields())
            items, end = cut(there, lambda record: seen(visibility, record), asked.limit, kind)
        return Page(items=tuple(shown(who, item) for item in items), next=ours.write(end) if end else None)

    async def ask(asked: A, who: Who, settings: Here) -> Page[R]:
        if administers:
            require(who, "administer", administers)
        return await catalogs(page, settings, who, asked)

    ask.__annotations__["asked"] = Annotated[asked_of, Query()]
    answer = Page.__class_getitem__(kind.record)
    router.add_api_route(f"/{path or name}", ask, name=name, description=about, response_model=answer)


def _cursors(settings: Settings, who: SignedIn, asked: Asked, table: str) -> Cursors:
    """Return the cursors of a listing for whoever asks. Raises OtherAccount where they ask with the eyes of another."""
    if asked.account is not None and who.identity.role != ADMIN and asked.account != who.identity.account:
        raise OtherAccount(who.identity.name, asked.account, who.identity.account)
    return cursors(settings, table, asked.model_dump_json(exclude={"cursor", "limit"}), who.identity.name)


def one(settings: Settings, who: SignedIn, find: Callable[[Visibility], T]) -> T:
    """Return what is found with the eyes of whoever asks."""
    with opened(settings, who) as catalog:
        return find(Visibility(catalog, who))


def _images(visibility: Visibility, asked: AskedImages, after: Place | None) -> Iterator[Image]:
    if asked.image_storage is not None:
        visibility.catalog.image_storage(asked.image_storage)
    return visibility.catalog.images(
        status=asked.status or None,
        name_pattern=asked.name_pattern,
        owner=asked.owner,
        account=visibility.account,
        image_storage=asked.image_storage,
        image_type=asked.image_type,
        family=asked.family,
        format=asked.format,
        deprecated=asked.deprecated,
        changed_since=asked.changed_since,
        os=asked.os,
        build_version=asked.version,
        cpu_architecture=asked.arch,
        labels=asked.label,
        after=after,
    )


def _binned(visibility: Visibility, _asked: Asked, after: Place | None) -> Iterator[Image]:
    return visibility.catalog.images(status=ImageStatus.DELETED, account=visibility.account, after=after)


def _events(visibility: Visibility, asked: AskedEvents, after: Place | None) -> Iterator[Event]:
    after = after or ((asked.since,) if asked.since else None)
    return visibility.catalog.listed(record_kinds.EVENT, after, image_id=asked.image_id)


def _promotions(visibility: Visibility, asked: AskedPromotions, after: Place | None) -> Iterator[Promotion]:
    return visibility.catalog.listed(record_kinds.PROMOTION, after, family=asked.family, cpu_architecture=asked.arch)


def _of_image(visibility: Visibility, record: ExportedImage | Leftover | Event) -> bool:
    return visibility.of(record.image_id)


def _of_family(visibility: Visibility, record: Watch | Promotion) -> bool:
    return visibility.sees_family(record.family)


listing(
    router, "images", "List images, newest first.", record_kinds.IMAGE, AskedImages, found=_images, seen=Visibility.sees
)
listing(
    router,
    "recycle_bin",
    "List the recycle bin, newest image first.",
    record_kinds.IMAGE,
    Asked,
    path="bin",
    found=_binned,
    seen=Visibility.sees,
)
listing(router, "exports", "List exported images, newest first.", record_kinds.EXPORT, AskedOfImage, seen=_of_image)
listing(
    router,
    "leftovers",
    "List raw data kept on a source after a change of storage, newest first.",
    record_kinds.LEFTOVER,
    AskedOfImage,
    seen=_of_image,
)
listing(
    router,
    "storages",
    "List image storages by name; only administrators see the name of their credentials.",
    record_kinds.IMAGE_STORAGE,
    Asked,
    shown=storage_as_seen,
)
listing(
    router,
    "volumes",
    "List the volumes of the caller's account, newest first.",
    record_kinds.VOLUME,
    AskedOfImage,
    seen=lambda visibility, volume: visibility.owns(volume.owner, volume.image_id),
)
listing(
    router,
    "events",
    "List the event log, oldest first; to continue a feed, give `since` the last sequence number read.",
    record_kinds.EVENT,
    AskedEvents,
    found=_events,
    seen=_of_image,
)
listing(
    router,
    "families",
    "List families and their rules by name, limited to the token's scope.",
    record_kinds.FAMILY,
    Asked,
    seen=lambda visibility, family: visibility.sees_family(family.name),
)
listing(
    router,
    "watches",
    "List watches for new builds by name, limited to the families in the token's scope.",
    record_kinds.WATCH,
    AskedWatches,
    seen=_of_family,
)
listing(
    router,
    "promotions",
    "List promotions and rollbacks of families, oldest first, limited to the token's scope.",
    record_kinds.PROMOTION,
    AskedPromotions,
    found=_promotions,
    seen=_of_family,
)


@router.get("/images/{image_id}")
async def image(image_id: Id, who: Who, settings: Here) -> Image:
    """Show an image."""
    return await catalogs(one, settings, who, lambda visibility: visibility.image(image_id))


@router.get("/images/{image_id}/replicas")
async def replicas(image_id: Id, who: Who, settings: Here) -> Page[Replica]:
    """List the replicas of an image."""

    def found(visibility: Visibility) -> tuple[Replica, ...]:
        return tuple(visibility.catalog.replicas(visibility.image(image_id).id))

    return Page(items=await catalogs(one, settings, who, found))


@router.get("/exports/{export_id}")
async def export(export_id: Id, who: Who, settings: Here) -> ExportedImage:
    """Show an exported image."""
    return await catalogs(one, settings, who, lambda visibility: visibility.export(export_id))


@router.get("/volumes/{volume_id}")
async def volume(volume_id: Id, who: Who, settings: Here) -> Volume:
    """Show a volume."""
    return await catalogs(one, settings, who, lambda visibility: visibility.volume(volume_id))


@router.get("/families/{family}/latest")
async def latest(family: Id, who: Who, settings: Here, arch: Architecture = "x86_64") -> Image:
    """Show the latest image of a family for an architecture: the promoted one, else the newest that is enabled and Ready."""
    return await catalogs(one, settings, who, lambda visibility: visibility.latest(family, arch))
