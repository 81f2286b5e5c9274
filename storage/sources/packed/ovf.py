"""An OVF's description of the files beside it: which are disks (the envelope), and their digests (the manifest).

DSP0243 2.1.1: File elements have id, href, size, compression, chunkSize; Disk elements refer to them by fileRef. Older
writers put Disk elements elsewhere, so only their names count.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote
from xml.parsers import expat

_DIGEST = re.compile(r"^\s*(\w[\w-]*?) ?\((.+)\) ?= ?([0-9A-Fa-f]+)\s*$", re.MULTILINE)
ALGORITHMS: Mapping[str, str] = {"SHA1": "sha1", "SHA256": "sha256", "SHA512": "sha512"}
"""By their names in a manifest, which hashlib shares."""


class MalformedEnvelope(ValueError):
    """Invalid XML, or XML that defines its own entities, which no OVF needs."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The files that are disks: name → size in bytes as stated by the OVF, None if it states none."""

    disks: Mapping[str, int | None]


@dataclass(slots=True)
class _Reading:
    files: dict[str, tuple[str, int | None]] = field(default_factory=dict)
    disks: list[str] = field(default_factory=list)

    def element(self, tag: str, attributes: dict[str, str]) -> None:
        own = {key.rpartition(":")[2]: value for key, value in attributes.items()}
        if tag.rpartition(":")[2] == "File" and "href" in own:
            size = int(own["size"]) if own.get("size", "").isascii() and own.get("size", "").isdigit() else None
            self.files[own.get("id", "")] = unquote(own["href"]).rpartition("/")[2], size
        elif tag.rpartition(":")[2] == "Disk" and own.get("fileRef"):
            self.disks.append(own["fileRef"])


def read_envelope(data: bytes) -> Envelope:
    """Parse the text of an .ovf. Raises MalformedEnvelope."""
    found = _Reading()
    parser = expat.ParserCreate()
    parser.StartElementHandler = found.element
    parser.EntityDeclHandler = _refuse_entity  # they may expand to any size
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise MalformedEnvelope(str(error)) from error
    return Envelope(dict(found.files[disk] for disk in found.disks if disk in found.files))


def _refuse_entity(*_declared: object) -> None:
    raise MalformedEnvelope("it defines entities")


def read_manifest(data: bytes) -> Mapping[str, tuple[str, str]]:
    """Return (algorithm as named there, hex) by file name, from lines as `SHA256(disk.vmdk)= 12ab…`."""
    lines = _DIGEST.findall(data.decode("utf-8", "replace"))
    return {
        name.strip().rpartition("/")[2]: (label.upper().replace("-", ""), digest.lower())
        for label, name, digest in lines
    }
