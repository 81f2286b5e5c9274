"""RPM's packages, from its database: SQLite (rpm 4.16 and later), or its own and Berkeley DB (`rpm_files`). Each entry is a package's header.

A header (rpm's lib/header.c): number of entries and size of the store, 4 bytes each, big-endian; entries of tag, type, offset and count,
4 bytes each; the store. SQLite reads the file from memory: the process can open nothing.
"""

import sqlite3
import struct
from collections.abc import Iterator
from itertools import islice

from storage.boot.probe.filesystems import Files, read
from storage.boot.probe.inventory.rpm_files import headers

PLACES = ("/usr/lib/sysimage/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite")
OTHERS = tuple(
    f"{folder}/{name}" for folder in ("/usr/lib/sysimage/rpm", "/var/lib/rpm") for name in ("Packages.db", "Packages")
)
"""Databases of other kinds: ndb (openSUSE), Berkeley DB (until rpm 4.15)."""
MOST_BYTES, MOST_PACKAGES, MOST_ENTRIES = 192 << 20, 50_000, 4096
TAGS = {1000: "name", 1001: "version", 1002: "release", 1003: "epoch", 1022: "arch", 1044: "sourcerpm"}
_STRING, _INT32 = 6, 4
_WAL, _ROLLBACK = b"\x02\x02", b"\x01\x01"
Row = dict[str, str]


def packages(files: Files) -> tuple[list[Row], str] | None:
    """Return what is installed, and what could not be read; None where there is no such database."""
    for place in PLACES:
        data = read(files, place, MOST_BYTES + 1)
        if data:
            unread = (
                f"{place} has changes in a log beside it that are not read" if read(files, f"{place}-wal", 1) else ""
            )
            return _read(data, place, unread)
    for place in OTHERS:
        if (data := read(files, place, MOST_BYTES + 1)) is not None:
            return _other(data, place)
    return None


def _other(data: bytes, place: str) -> tuple[list[Row], str]:
    if len(data) > MOST_BYTES:
        return [], f"{place} has more than {MOST_BYTES >> 20} MiB"
    found: list[Row] = []
    try:
        found += (row for blob in islice(headers(data), MOST_PACKAGES) if (row := _header(blob)) is not None)
    except ValueError as error:
        return found, f"{place} is damaged: {error}"
    return found, ""


def _read(data: bytes, place: str, unread: str) -> tuple[list[Row], str]:
    if len(data) > MOST_BYTES:
        return [], f"{place} has more than {MOST_BYTES >> 20} MiB"
    if data[18:20] == _WAL:  # in memory there is no log beside it; what it has was written back, or is told as unread
        data = data[:18] + _ROLLBACK + data[20:]
    found: list[Row] = []
    connection = sqlite3.connect(":memory:")
    try:
        connection.deserialize(data)
        for (blob,) in connection.execute("SELECT blob FROM Packages LIMIT ?", (MOST_PACKAGES,)):
            row = _header(blob) if isinstance(blob, bytes) else None
            if row is not None:
                found.append(row)
    except (sqlite3.Error, MemoryError, OverflowError, ValueError) as error:  # a message that is not UTF-8
        return found, f"{place} is damaged: {error}"
    finally:
        connection.close()
    return found, unread


def _header(blob: bytes) -> Row | None:
    if len(blob) < 8:
        return None
    count, size = struct.unpack_from(">II", blob)
    begin = 8 + 16 * count
    if count > MOST_ENTRIES or begin + size > len(blob):
        return None
    said = dict(_values(blob, count, blob[begin : begin + size]))
    if not said.get("name") or not said.get("version") or said["name"] == "gpg-pubkey":
        return None
    epoch = f"{said['epoch']}:" if said.get("epoch", "0") != "0" else ""
    version = f"{epoch}{said['version']}-{said.get('release', '')}".rstrip("-")
    row = {"kind": "rpm", "name": said["name"], "version": version, "arch": said.get("arch", "")}
    return {**row, **_source(said.get("sourcerpm", ""), row, epoch)}


def _source(file: str, row: Row, epoch: str) -> Row:
    """Return what a package was built from by the name of its source's file, where that is another name or version. Its epoch is the package's."""
    name, _, rest = file.removesuffix(".rpm").removesuffix(".src").removesuffix(".nosrc").rpartition("-")
    name, _, upstream = name.rpartition("-")
    version = f"{epoch}{upstream}-{rest}"
    if not name or (name, version) == (row["name"], row["version"]):
        return {}
    return {"source": name, "source_version": "" if version == row["version"] else version}


def _values(blob: bytes, count: int, store: bytes) -> Iterator[tuple[str, str]]:
    for number in range(count):
        tag, kind, offset, _ = struct.unpack_from(">IIII", blob, 8 + 16 * number)
        if tag in TAGS and offset < len(store):
            if kind == _STRING:
                yield TAGS[tag], store[offset:].partition(b"\0")[0].decode("utf-8", "replace")
            elif kind == _INT32 and offset + 4 <= len(store):
                yield TAGS[tag], str(struct.unpack_from(">I", store, offset)[0])
