"""Gather the evidence about a build for its family's gates: from its record, the log and its replicas."""

from typing import TYPE_CHECKING

from catalog.log import events
from catalog.records import BootCheckReport, ContentsSeen, Evidence, Family, Image, ReplicaStatus, SignatureSeen
from catalog.rules.promotion.gates import Seen, judged

if TYPE_CHECKING:
    from catalog.repository.reading.reading import Reading


def evidence_of(catalog: "Reading", family: Family, image: Image, *, by_person: bool) -> tuple[Evidence, ...]:
    """Return each gate's present verdict on a build."""
    return judged(family, image, seen(catalog, image, by_person=by_person))


def seen(catalog: "Reading", image: Image, *, by_person: bool) -> Seen:
    """Return the evidence about a build besides its record."""
    boot, ready_at, signature, inside = None, None, None, None
    for event in catalog.events(image.id):
        if event.kind == events.IMAGE_READY:
            ready_at = event.at
        elif event.kind == events.IMAGE_BOOT_CHECKED and event.after is not None:
            boot = BootCheckReport.model_validate(event.after)
        elif event.kind == events.IMAGE_INSPECTED and event.after is not None:
            inside = ContentsSeen.model_validate(event.after)
        elif event.kind == events.WATCH_SIGNATURE and event.after is not None:
            signature = SignatureSeen.model_validate(event.after)
    whole = tuple(r.image_storage for r in catalog.replicas(image.id) if r.status is ReplicaStatus.READY)
    return Seen(catalog.now(), _as_declared(image, boot), whole, ready_at, signature, inside, by_person)


def _as_declared(image: Image, boot: BootCheckReport | None) -> BootCheckReport | None:
    """Return a boot check, None if the image's declaration has changed since: the check proves nothing then."""
    declared = (image.bios_mode or "Legacy", image.cpu_architecture)
    return boot if boot is not None and (boot.bios_mode, boot.cpu_architecture) == declared else None
