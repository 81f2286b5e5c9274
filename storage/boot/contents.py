"""What is inside a stored file, read in the confined process, and its bill of materials."""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

from pydantic import ValidationError

from catalog.records import Contents, Finding, Image, Package
from storage.boot.probing import Bounds, looked
from storage.protocols import ImageReader

BOUNDS = Bounds(timeout_s=60, most_read=1 << 30, most_said=32 << 20, memory_bytes=2 << 30)
LISTS = ("kernels", "packages", "users", "findings", "unread")
RULE_VERSION = 1
SPEC = "1.6"
ENDED = "reading it ended early: it is damaged, or larger than what is read"


def contents(reader: ImageReader, image_format: str, image: Image, now: datetime, bounds: Bounds = BOUNDS) -> Contents:
    """Return what is inside a stored file of a format that the inspector has passed. now: timezone-aware moment.

    Odd content is never an error: what could not be read is said in `unread`. Raises only the reader's own errors.
    """
    made = Contents(image_id=image.id, inspected_at=now)
    said = {"image_id": image.id, "inspected_at": now}
    parts: list[Contents] = []
    whole = False
    for line in looked("inventory", reader, image_format, bounds).splitlines():
        try:
            told = json.loads(line)
            whole = whole or bool(told.pop("whole", False))
            parts.append(Contents.model_validate({**said, **told, "findings": list(_findings(told.get("findings")))}))
        except (ValueError, TypeError, AttributeError, ValidationError):
            break  # the process was killed in the middle of a line
    return _joined(made, parts) if whole else _ended(_joined(made, parts))


def _joined(made: Contents, parts: Sequence[Contents]) -> Contents:
    """Return what the steps said together: of lists all, of all else what was said."""
    once = {name: getattr(part, name) for part in parts for name in part.model_fields_set - {*LISTS}}
    return made.model_copy(
        update={**once, **{name: tuple(x for p in parts for x in getattr(p, name)) for name in LISTS}}
    )


def _findings(told: object) -> Iterator[Finding]:
    for rule, severity, sentence in told if isinstance(told, list) else ():
        yield Finding(rule=rule, rule_version=RULE_VERSION, severity=severity, sentence=sentence)


def _ended(made: Contents) -> Contents:
    return made.model_copy(update={"unread": (*made.unread, ENDED)})


def bill_of_materials(image: Image, found: Contents) -> dict[str, object]:
    """Return a CycloneDX document of the packages. The same image read again gives the same serial number."""
    digests = [{"alg": "SHA-256", "content": image.sha256}] if image.sha256 else []
    version = {"version": image.build_version} if image.build_version else {}
    subject = {
        "type": "operating-system",
        "name": image.name,
        "bom-ref": f"image:{image.id}",
        "hashes": digests,
        **version,
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'imagewright:{image.id}:{image.sha256}')}",
        "version": 1,
        "metadata": {"timestamp": found.inspected_at.isoformat(), "component": subject},
        "components": [_component(package, found.os_release) for package in _once(found.packages)],
    }


def _once(packages: Sequence[Package]) -> Sequence[Package]:
    return sorted(set(packages), key=lambda one: (one.kind, one.name, one.version, one.arch))


def _component(package: Package, release: Mapping[str, str]) -> dict[str, object]:
    url = purl(package, release.get("ID", ""))
    return {"type": "library", "name": package.name, "version": package.version, "purl": url, "bom-ref": url}


def purl(package: Package, distribution: str) -> str:
    """Return a package's URL (purl-spec): pkg:deb/debian/bash@5.2?arch=amd64; of an rpm the epoch is a qualifier."""
    epoch, colon, rest = package.version.partition(":") if package.kind == "rpm" else ("", "", package.version)
    version = rest if colon else package.version
    said = {"arch": package.arch, "epoch": epoch if colon else ""}
    qualifiers = "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(said.items()) if value)
    space = f"{quote(distribution.lower(), safe='')}/" if distribution else ""
    name = quote(package.name, safe="+") if package.kind == "rpm" else quote(package.name.lower(), safe="")
    return f"pkg:{package.kind}/{space}{name}@{quote(version, safe='')}{'?' if qualifiers else ''}{qualifiers}"
