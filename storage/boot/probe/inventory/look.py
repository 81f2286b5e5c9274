"""The inventory of one disk, from the surest to the riskiest: what was found stands even if a later step kills the process."""

from collections.abc import Iterator

from storage.boot.probe.filesystems import Files, opened, read, signature
from storage.boot.probe.guest import Guest, read_guest
from storage.boot.probe.inventory import accounts, apk, deb, rpm
from storage.boot.probe.partitions import read_table
from storage.boot.probe.survey import parts_of
from storage.formats.blocks import Bytes

Facts = dict[str, object]
TEXT, TOGETHER, MOST_PACKAGES = 64 << 10, 500, 50_000
MOST_TEXT = 256
READABLE = ("ext2", "ext3", "ext4", "vfat", "ntfs", "xfs", "iso9660")
DATABASES = (deb.packages, apk.packages, rpm.packages)
RELEASE = ("/etc/os-release", "/usr/lib/os-release")
KERNELS = ("/usr/lib/modules", "/lib/modules")


def inventory(disk: Bytes, image_format: str) -> Iterator[Facts]:
    """Yield facts by the names of `catalog.records.Contents`; of lists each step adds more. The last one says that it was whole."""
    yield from _facts(disk, image_format)
    yield {"whole": True}


def _facts(disk: Bytes, image_format: str) -> Iterator[Facts]:
    kinds: list[str] = []
    for part, _ in parts_of(disk, read_table(disk), image_format):
        kind = signature(part)
        kinds += [kind] if kind else []
        if kind is None:
            continue
        with opened(part, kind) as files:
            guest = read_guest(files) if files else None
            if files is not None and guest is not None:
                yield from _of_guest(files, guest)
                return
    unreadable = [kind for kind in dict.fromkeys(kinds) if kind not in READABLE]
    why = f"; {', '.join(unreadable)} can't be read here" if unreadable else ""
    yield {"unread": [f"no installed system was found{why}"]}


def _of_guest(files: Files, guest: Guest) -> Iterator[Facts]:
    yield {
        "os_release": _release(files),
        "guest_os": guest.os,
        "cloud_init": guest.cloud_init,
        "guest_agent": guest.agent,
    }
    kernels = {name for root in KERNELS for name in files.names(root) if not name.startswith(".")}
    yield {"kernels": sorted(_shown(name) for name in kernels)[:64]}
    people = accounts.users(files)
    yield {"users": people}
    yield {"findings": [[rule, severity, _shown(told)] for rule, severity, told in accounts.findings(files, people)]}
    yield from _packages(files)


def _packages(files: Files) -> Iterator[Facts]:
    known = False
    for database in DATABASES:
        found = database(files)
        if found is None:
            continue
        rows, unread = found
        known = True
        for begin in range(0, min(len(rows), MOST_PACKAGES), TOGETHER):
            some = rows[begin : begin + TOGETHER]
            yield {"packages": [{name: _shown(value) for name, value in row.items()} for row in some]}
        if unread:
            yield {"unread": [_shown(unread)]}
    if not known:
        yield {
            "unread": [
                "it has no database of packages that is known here (dpkg, apk, rpm), or it lies on another file system"
            ]
        }


def _release(files: Files) -> dict[str, str]:
    data = next((found for place in RELEASE if (found := read(files, place, TEXT)) is not None), b"")
    lines = (line.partition("=") for line in data.decode("utf-8", "replace").splitlines()[:100])
    return {
        _shown(name): _shown(value.strip().strip("\"'"))
        for name, equals, value in lines
        if equals and name.isidentifier()
    }


def _shown(text: str) -> str:
    """Keep what can be printed of untrusted text."""
    return "".join(c for c in text if c.isprintable())[:MOST_TEXT]
