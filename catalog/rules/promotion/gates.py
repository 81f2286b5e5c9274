"""Gates that a build must pass to become the latest of its family. Each leaves a sentence, passed or not.

| gate | required | passes if |
|---|---|---|
| digest | always | the SHA-256 of the bytes is known; any expected checksum was compared during the transfer |
| format | always | no safety rule refused the bytes |
| quality | always | every check of the suite passed |
| signature | with `signature`, and if there is one | a key of its watch signed the list that has its checksum |
| storages | if the family names some | each of them has a complete replica |
| boot | with `boot_check` | it booted in its declared mode, as far as the login prompt or the end of cloud-init if required; the command, if any, succeeded |
| hygiene | for a system image, unless `hygiene: off` | with `refuse`, all of it was inspected and has nothing that machines must not share |
| soak | with `soak_hours`, unless a person decides | it has been Ready for that long |
| approval | with `approval`, unless a person decides | a person promotes it |

A person who promotes overrides soak and approval, but no gate about the bytes.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from catalog.records import BootCheckReport, ContentsSeen, Evidence, Family, Image, SignatureSeen


@dataclass(frozen=True, slots=True)
class Seen:
    """Facts about a build besides its record.

    boot: the newest boot check of its bytes with the current declaration. contents: the newest inspection of its
    contents. signature: over the list that its checksum came from. storages: those with a complete replica. ready_at:
    when it became Ready, by the log. by_person: whether a person requests the promotion.
    """

    now: datetime
    boot: BootCheckReport | None = None
    storages: Collection[str] = ()
    ready_at: datetime | None = None
    signature: SignatureSeen | None = None
    contents: ContentsSeen | None = None
    by_person: bool = True


def judged(family: Family, image: Image, seen: Seen) -> tuple[Evidence, ...]:
    """Return the evidence of each gate that the family requires, in the order of the table."""
    return tuple(found for gate in GATES.values() if (found := gate(family, image, seen)) is not None)


def failed(evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
    """Return the evidence of the gates that were not passed."""
    return tuple(one for one in evidence if not one.passed)


def _digest(_family: Family, image: Image, _seen: Seen) -> Evidence:
    if image.sha256 is None:
        return _of("digest", False, "no SHA-256 of its bytes is known")
    compared = (
        f"the expected {image.expected_checksum} was compared" if image.expected_checksum else "none was expected"
    )
    return _of("digest", True, f"SHA-256 {image.sha256}; {compared}")


def _format(_family: Family, image: Image, _seen: Seen) -> Evidence:
    verdict = image.verdict
    if verdict is None:
        return _of("format", False, "its bytes were never judged: add it again")
    refused = [finding.described for finding in verdict.findings if finding.severity == "error"]
    return _of("format", verdict.safe, "; ".join(refused) or f"{verdict.format}, safe by rules {verdict.rule_set}")


def _quality(_family: Family, image: Image, _seen: Seen) -> Evidence:
    report = image.quality
    if report is None:
        return _of("quality", False, "no suite was run over it: add it again")
    passed = f"{len(report.checks)} checks of {report.suite} passed"
    return _of("quality", report.success, passed if report.success else "; ".join(report.failed))


def _signature(family: Family, image: Image, seen: Seen) -> Evidence | None:
    found = seen.signature
    if found is None or found.checksum != image.expected_checksum:
        refused = _of("signature", False, "no signature over its checksum was checked")
        return refused if family.signature == "required" else None
    return _of("signature", True, f"{found.checksum} in {found.list_url}, signed by {', '.join(found.signed_by)}")


def _storages(family: Family, _image: Image, seen: Seen) -> Evidence | None:
    if not family.image_storages:
        return None
    missing = [name for name in family.image_storages if name not in seen.storages]
    where = ", ".join(family.image_storages)
    lacks = f"it is not whole on {', '.join(missing)}: `imagewright sync-images` brings it there"
    return _of("storages", not missing, lacks if missing else f"whole on {where}")


def _boot(family: Family, _image: Image, seen: Seen) -> Evidence | None:
    if family.boot_check == "none":
        return None
    report = seen.boot
    if report is None or not reaches(report, family):
        return _of("boot", False, f"it was not booted yet{UNTIL[family.boot_check]}")
    how = f"in {report.bios_mode} mode on {report.cpu_architecture}: {report.evidence}"
    return _of("boot", report.booted, f"{'booted' if report.booted else 'did not boot'} {how}")


def _hygiene(family: Family, image: Image, seen: Seen) -> Evidence | None:
    if family.hygiene == "off" or image.image_type != "System":
        return None
    strict, found = family.hygiene == "refuse", seen.contents
    if found is None:
        return _of("hygiene", not strict, "nobody looked inside yet")
    told = [finding.sentence for finding in found.findings] + [f"not read: {said}" for said in found.unread]
    clean = f"{found.packages} packages of {found.guest_os}; nothing that many machines must not share"
    return _of("hygiene", not (strict and told), "; ".join(told) or clean)


UNTIL = {"none": "", "boots": "", "login": " until it asks for a login", "cloud-init": " until cloud-init is done"}
RANKS = tuple(UNTIL)


def reaches(report: BootCheckReport, family: Family) -> bool:
    """Tell whether a boot was watched as far as a family requires; one that failed earlier counts too."""
    if report.booted:
        return RANKS.index(report.until) >= RANKS.index(family.boot_check) and family.boot_command in (
            "",
            report.command,
        )
    return report.command in ("", family.boot_command)


def _soak(family: Family, _image: Image, seen: Seen) -> Evidence | None:
    if not family.soak_hours:
        return None
    hours = (seen.now - seen.ready_at).total_seconds() / 3600 if seen.ready_at else 0.0
    told = f"Ready for {hours:.1f} of {family.soak_hours:g} hours"
    over = hours >= family.soak_hours
    return _of("soak", over or seen.by_person, told if over or not seen.by_person else f"{told}; decided by a person")


def _approval(family: Family, _image: Image, seen: Seen) -> Evidence | None:
    if not family.approval:
        return None
    return _of("approval", seen.by_person, "promoted by a person" if seen.by_person else "nobody promoted it yet")


GATES: Mapping[str, Callable[[Family, Image, Seen], Evidence | None]] = {
    "digest": _digest,
    "format": _format,
    "quality": _quality,
    "signature": _signature,
    "storages": _storages,
    "boot": _boot,
    "hygiene": _hygiene,
    "soak": _soak,
    "approval": _approval,
}
"""All gates in order: a new gate is a function and a row."""
BY_TIME = ("soak", "approval")
"""Gates that a build can still pass later; failing any other gate is final."""


def _of(gate: str, passed: bool, sentence: str) -> Evidence:
    return Evidence(gate=gate, passed=passed, sentence=sentence)
