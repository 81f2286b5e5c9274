"""Records of watches, which follow publishers' builds, and of each check. Import them from `catalog.records`."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from catalog.records.record import Architecture, Record

WatchKind = Literal["url", "listing", "simplestreams"]
AddValue = bool | int | str | tuple[str, ...]


class Watch(Record):
    """Where a publisher puts the builds of a family for one architecture, and how each is recognized and verified.

    url: of the file, of the page or folder that lists files, or of the simplestreams index. pattern: of a file's name,
    with {version} and {arch}, preceded by folders if these have a version too. checksums_url, signature_url: absolute,
    or relative to the file, with {version}, {arch} and {file}. public_keys: armoured; if given, only builds that they
    signed are taken. add: fields of the add request.
    """

    name: str
    family: str
    kind: WatchKind
    url: str
    pattern: str | None = None
    cpu_architecture: Architecture = "x86_64"
    checksums_url: str | None = None
    signature_url: str | None = None
    public_keys: tuple[str, ...] = ()
    add: dict[str, AddValue] = Field(default_factory=dict)
    owner: str = "admin"
    created_at: datetime
    updated_at: datetime


class WatchState(Record):
    """The progress of a watch: working state, not in the log.

    etag, last_modified, digest: of the document requested first, when it was last settled; place: the address of the
    products in a simplestreams index, or the version of the newest folder in a listing of folders. builds: how many
    were listed; newest: their newest version; waiting: id of the image that may yet be promoted. refused: why the last
    check was refused, "" if it was not.
    """

    watch: str
    etag: str | None = None
    last_modified: str | None = None
    digest: str | None = None
    place: str | None = None
    builds: int = 0
    newest: str | None = None
    waiting: str | None = None
    refused: str = ""


class Build(Record):
    """A publisher's build. checksum: as published, None if there is none; signed_by: fingerprints of keys."""

    version: str
    url: str
    checksum: str | None = None
    list_url: str | None = None
    signed_by: tuple[str, ...] = ()


class Look(Record):
    """The result of one check of a publisher.

    refused: why nothing is taken from it; state: to keep once it is settled.
    """

    watch: str
    seen: int = 0
    unchanged: bool = False
    build: Build | None = None
    refused: str | None = None
    state: WatchState


class SignatureSeen(Record):
    """The keys with a valid signature over the list that has a build's checksum."""

    list_url: str
    checksum: str
    signed_by: tuple[str, ...]


class WatchOutcome(Record):
    """The result of a check for one watch. seen: builds listed; new: builds added; refused: one sentence."""

    watch: str
    seen: int = 0
    new: int = 0
    unchanged: bool = False
    refused: str | None = None
    image_id: str | None = None
    promoted: bool = False
    waiting_for: str | None = None  # why an added build is not the latest yet


class WatchReport(Record):
    """The results of a check of watches, one per watch."""

    watches: tuple[WatchOutcome, ...] = ()
