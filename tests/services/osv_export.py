"""OSV exports made on the spot, in the shape in which they are published: records of several distributions, some of them taken back."""

import gzip
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

Record = Mapping[str, object]
V31 = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"


def record(name: str, ecosystem: str, package: str, *lines: Sequence[tuple[str, str]], **fields: object) -> Record:
    """Return a record about one package. lines: ranges, each as events in the order in which they are published."""
    ranges = [{"type": "ECOSYSTEM", "events": [{kind: version} for kind, version in line]} for line in lines]
    entry = {
        "package": {"ecosystem": ecosystem, "name": package, "purl": f"pkg:deb/debian/{package}?arch=source"},
        "ranges": ranges, "ecosystem_specific": {"urgency": "not yet assigned"}, "database_specific": {"source": "https://example.org"},
    }  # fmt: skip
    return {
        "id": name, "modified": "2026-01-02T03:04:05Z", "published": "2025-12-01T00:00:00Z", "schema_version": "1.7.3",
        "details": f"What is wrong with {package}.", "references": [{"type": "ADVISORY", "url": "https://example.org/x"}],
        "affected": [entry], **fields,
    }  # fmt: skip


def zipped(records: Sequence[Record], *, streamed: bool = False, more: Mapping[str, bytes] | None = None) -> bytes:
    """Return a zip as a distribution's all.zip. streamed: sizes behind the data; more: other files in it."""
    target = io.BytesIO()
    with zipfile.ZipFile(Forward(target) if streamed else target, "w", zipfile.ZIP_DEFLATED) as made:
        for one in records:
            made.writestr(f"{one['id']}.json", json.dumps(one))
        for name, data in (more or {}).items():
            made.writestr(name, data)
    return target.getvalue()


class Forward(io.RawIOBase):
    """A file that can't be gone back in."""

    def __init__(self, target: io.BytesIO) -> None:
        self._target = target

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        return self._target.write(data)  # type: ignore[arg-type]


def written(folder: Path, kind: str, records: Sequence[Record]) -> Path:
    """Write an export of a kind, and return its path."""
    lines = b"".join(json.dumps(one).encode() + b"\n" for one in records)
    whole = {
        "zip": zipped(records), "streamed zip": zipped(records, streamed=True), "lines": lines, "lines.gz": gzip.compress(lines),
        "without an end": lines.rstrip(), "list": json.dumps(records, indent=1).encode(), "list in a line": json.dumps(records).encode(),
        "answer": json.dumps({"vulns": records}).encode(), "spaced": b"\n \n" + lines.replace(b"\n", b"\r\n\r\n"),
    }  # fmt: skip
    target = folder / f"export.{kind}"
    if kind == "folder":
        for place, one in enumerate(records):
            file = target / f"20{place % 3}" / f"{one['id']}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(one, indent=2))
        return target
    target.write_bytes(whole[kind])
    return target


KINDS = (
    "zip",
    "streamed zip",
    "lines",
    "lines.gz",
    "without an end",
    "list",
    "list in a line",
    "answer",
    "spaced",
    "folder",
)
