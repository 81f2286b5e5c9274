"""Debian's packages: `/var/lib/dpkg/status` (deb-control(5), dpkg's own fields in dpkg(1))."""

from collections.abc import Iterator

from storage.boot.probe.filesystems import Files, read

STATUS, PARTS = "/var/lib/dpkg/status", "/var/lib/dpkg/status.d"
MOST_BYTES = 48 << 20
Row = dict[str, str]


def packages(files: Files) -> tuple[list[Row], str] | None:
    """Return what is installed, and what could not be read; None where there is no such database."""
    data = read(files, STATUS, MOST_BYTES + 1)
    names = [name for name in files.names(PARTS) if not name.startswith(".") and not name.endswith(".md5sums")]
    parts = [read(files, f"{PARTS}/{name}", MOST_BYTES) or b"" for name in names]
    if data is None and not parts:
        return None
    text = b"\n\n".join([data or b"", *parts])
    unread = f"{STATUS} has more than {MOST_BYTES >> 20} MiB" if len(text) > MOST_BYTES else ""
    return list(_installed(text[:MOST_BYTES].decode("utf-8", "replace"))), unread


def _installed(text: str) -> Iterator[Row]:
    for stanza in text.replace("\r", "").split("\n\n"):
        fields: Row = {}
        for line in stanza.split("\n"):
            name, colon, value = line.partition(":")
            if colon and name and not name[0].isspace():
                fields.setdefault(name.lower(), value.strip())
        words = fields.get("status", "install ok installed").split()
        if fields.get("package") and fields.get("version") and words[-1:] == ["installed"]:
            yield {
                "kind": "deb",
                "name": fields["package"],
                "version": fields["version"],
                "arch": fields.get("architecture", ""),
                **_source(fields.get("source", "")),
            }


def _source(told: str) -> Row:
    """Return what a package was built from, where it is not of its own name: `glibc`, or `linux-signed-amd64 (6.1.90+1)` of another version."""
    name, bracket, version = told.partition(" (")
    if not name:
        return {}
    return {"source": name.strip(), "source_version": version.rstrip(") ") if bracket else ""}
