"""Records of image families, their promotions, recalls and life cycle. Import them from `catalog.records`."""

from datetime import datetime
from typing import Literal

from catalog.records.record import Record

BootLevel = Literal["none", "boots", "login", "cloud-init"]
SignatureRule = Literal["none", "required"]
HygieneRule = Literal["off", "warn", "refuse"]
PromotionKind = Literal["promoted", "rolled back"]
ANY_ARCHITECTURE = "any"
"""The channel of volume images, which hold only data and fit every architecture."""


class Family(Record):
    """Builds of one image, one of which is the latest for each architecture, and the rules for them.

    keep_last, keep_days: builds beyond both may be deleted; None: no limit. keep_used: builds in use stay anyway.
    deprecate_after_days: a build that is not promoted is deprecated at that age. soak_hours: how long a build must be
    Ready before it is promoted automatically. approval: a person promotes. boot_check: how far a build must boot before
    it is promoted. boot_command: a shell command that must succeed in the guest once cloud-init is done. hygiene:
    whether a build is inspected for data that machines must not share, such as host keys, and whether finding any
    refuses it. signature: the list with its checksum must be signed by a key of its watch. image_storages: where its
    builds must lie before they are promoted, and where its watches add them.
    """

    name: str
    description: str = ""
    labels: tuple[str, ...] = ()  # key=value
    keep_last: int | None = None
    keep_days: float | None = None
    keep_used: bool = True
    deprecate_after_days: float | None = None
    soak_hours: float = 0
    approval: bool = False
    boot_check: BootLevel = "none"
    boot_command: str = ""
    hygiene: HygieneRule = "warn"
    signature: SignatureRule = "none"
    image_storages: tuple[str, ...] = ()
    owner: str = "admin"
    created_at: datetime
    updated_at: datetime


class Evidence(Record):
    """The outcome of one gate for a build."""

    gate: str  # e.g. "digest", "boot"
    passed: bool
    sentence: str


class Promotion(Record):
    """One change of a family's latest for an architecture. number: counted from 1.

    image_id: the new latest image, None for none; previous: the one before.
    """

    family: str
    cpu_architecture: str
    number: int
    kind: PromotionKind
    image_id: str | None
    build_version: str | None = None
    previous: str | None = None
    reason: str
    evidence: tuple[Evidence, ...] = ()
    by: str
    created_at: datetime


class Channel(Record):
    """The latest image of a family for an architecture, and the promotion that made it so."""

    family: str
    cpu_architecture: str
    image_id: str | None
    number: int


class Recalled(Record):
    """The result of a recall for one image, and the image's users."""

    image_id: str
    name: str
    outcome: Literal["recalled", "already recalled", "named"]  # named: made of a recalled image, and stays
    reason: str
    used_by: tuple[str, ...] = ()


class RecallReport(Record):
    """The result of a recall: the image first, then the images made of it, and the families that went back.

    unread: why some images could not be checked for shared chips.
    """

    image_id: str
    reason: str
    images: tuple[Recalled, ...] = ()
    rolled_back: tuple[Promotion, ...] = ()
    unread: tuple[str, ...] = ()


class LifeCycleItem(Record):
    """The decision on one build by its family's rules, with the reason."""

    image_id: str
    name: str
    family: str
    build_version: str | None = None
    outcome: Literal["kept", "deprecated", "deleted", "failed"]
    reason: str


class LifeCycleReport(Record):
    """The decision on each build, by family and architecture, newest first; and the families that went back."""

    images: tuple[LifeCycleItem, ...] = ()
    rolled_back: tuple[Promotion, ...] = ()
