"""Families of images, what each has promoted, and the watches that bring its builds. Part of `catalog.records`."""

from datetime import datetime
from typing import Literal

from catalog.records.record import Record

BootLevel = Literal["none", "boots", "login", "cloud-init"]
SignatureRule = Literal["none", "required"]
HygieneRule = Literal["off", "warn", "refuse"]
PromotionKind = Literal["promoted", "rolled back"]
ANY_ARCHITECTURE = "any"
"""The channel of volume images, which hold data only and fit each architecture."""


class Family(Record):
    """Builds of one image, of which one is the latest for each architecture; and the rules that they are held to.

    keep_last, keep_days: builds beyond both may go; None: no limit. keep_used: what is used stays all the same.
    deprecate_after_days: from then on a build that is not promoted is deprecated. soak_hours: how long a build is Ready before
    it is promoted by itself. approval: a person promotes. boot_check: a build has to boot before it is promoted,
    as far as that. boot_command: a shell command that is run in it once cloud-init is done and has to end well. hygiene: a build is
    looked into for what many machines must not share, as host keys, and is refused for it or not. signature: the list that has
    its checksum has to be signed by a key of its watch.
    image_storages: where its builds have to lie before they are promoted, and where its watches add them.
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
    """What one gate saw of a build."""

    gate: str  # e.g. "digest", "boot"
    passed: bool
    sentence: str


class Promotion(Record):
    """One move of a family's latest for an architecture. number: counts them, from 1.

    image_id: what is the latest from then on, None for nothing; previous: what was it before.
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
    """What is the latest of a family for an architecture, and which promotion made it so."""

    family: str
    cpu_architecture: str
    image_id: str | None
    number: int


class Recalled(Record):
    """What a recall did with one image, and who uses it."""

    image_id: str
    name: str
    outcome: Literal["recalled", "already recalled", "named"]  # named: it was made of a recalled one, and stays
    reason: str
    used_by: tuple[str, ...] = ()


class RecallReport(Record):
    """What a recall did: the image first, then what was made of it; and the families that moved back.

    unread: why some images could not be looked at for shared chips.
    """

    image_id: str
    reason: str
    images: tuple[Recalled, ...] = ()
    rolled_back: tuple[Promotion, ...] = ()
    unread: tuple[str, ...] = ()


class LifeCycleItem(Record):
    """What became of one build by the rules of its family, and why."""

    image_id: str
    name: str
    family: str
    build_version: str | None = None
    outcome: Literal["kept", "deprecated", "deleted", "failed"]
    reason: str


class LifeCycleReport(Record):
    """What became of each build, by family and architecture, the newest first; and the families that went back by themselves."""

    images: tuple[LifeCycleItem, ...] = ()
    rolled_back: tuple[Promotion, ...] = ()
