"""Databases of real packages: SQLite made by rpm itself, Berkeley DB by its own tool (rpm only reads that kind).

Debian's rpm knows no ndb: that one is written here by rpm's own description of it (lib/backend/ndb/rpmpkg.c), of headers that rpm made.
"""

import binascii
import sqlite3
import struct
import subprocess
import zlib
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.services.images import need

SPEC = """Name: {name}
Version: {version}
Release: {release}
{epoch}
Summary: a package of a test
License: MIT
BuildArch: noarch
%description
{long}
%files
%package -n {name}-tools
Summary: what is built beside it
Version: 7.{version}
%description -n {name}-tools
Another one.
%files -n {name}-tools
"""
PACKAGES = (("alpha", "1.0", "1.fc40", 0), ("beta-libs", "2.3~rc1", "4.el9", 1), ("gamma", "20240507^git1", "0.1", 3))
LONG = "What it is for is told at length here. " * 400  # more than a page of a database
FILES = {"sqlite": "rpmdb.sqlite", "ndb": "Packages.db", "bdb": "Packages"}


def packages(folder: Path) -> Sequence[Path]:
    """Build the packages."""
    need("rpmbuild", "rpm")
    for name, version, release, epoch in PACKAGES:
        spec = folder / f"{name}.spec"
        told = f"Epoch: {epoch}" if epoch else ""
        spec.write_text(SPEC.format(name=name, version=version, release=release, epoch=told, long=LONG))
        _run("rpmbuild", "-bb", "--quiet", "--define", f"_topdir {folder}/build", str(spec))
    return sorted(folder.glob("build/RPMS/*/*.rpm"))


def database(folder: Path, made: Sequence[Path], kind: str) -> tuple[Path, set[tuple[str, ...]]]:
    """Return a database of a kind with these packages installed, and what `rpm -qa` says of it: name, version, architecture, file of its source."""
    place = folder / kind
    place.mkdir()
    if kind == "ndb":
        (place / FILES[kind]).write_bytes(_ndb(_headers(folder)))
        return place / FILES[kind], _said(folder / "sqlite", "sqlite")
    if kind == "bdb":
        _berkeley(_headers(folder), place)
    else:
        _run("rpm", *_at(place, kind), "-i", "--justdb", "--nodeps", "--nosignature", *map(str, made))
        _run("rpm", *_at(place, kind), "-e", "--justdb", "gamma-tools")
        _run("rpm", *_at(place, kind), "-i", "--justdb", "--nodeps", "--nosignature", str(made[-1]))
    return place / FILES[kind], _said(place, "bdb_ro" if kind == "bdb" else kind)


def _said(place: Path, backend: str) -> set[tuple[str, ...]]:
    asked = "%{NAME} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE} %{ARCH} %{SOURCERPM}\\n"
    rows = [line.split() for line in _run("rpm", *_at(place, backend), "-qa", "--qf", asked).splitlines()]
    return {tuple(row) for row in rows}


def _at(place: Path, kind: str) -> Sequence[str]:
    return ("--dbpath", str(place), "--define", f"_db_backend {kind}")


def _headers(folder: Path) -> Sequence[bytes]:
    """Return the headers of the SQLite database."""
    with closing(sqlite3.connect(folder / "sqlite/rpmdb.sqlite")) as connection:
        return [blob for (blob,) in connection.execute("SELECT blob FROM Packages")]


def _ndb(blobs: Sequence[bytes]) -> bytes:
    """Write headers as ndb does, after the slot of a package that was removed."""
    slots, body, block = struct.pack("<4sIII", b"Slot", 0, 0, 0), b"", 4096 // 16
    for number, blob in enumerate(blobs, 7):
        data = struct.pack("<4sIII", b"BlbS", number, 3, len(blob)) + blob
        data += struct.pack("<III4s", zlib.adler32(data), len(blob), number, b"BlbE")
        data += bytes(-len(data) % 16)
        slots += struct.pack("<4sIII", b"Slot", number, block, len(data) // 16)
        body, block = body + data, block + len(data) // 16
    head = struct.pack("<4sIIII12x", b"RpmP", 0, 9, 1, 7 + len(blobs))
    empty = struct.pack("<4sIII", b"Slot", 0, 0, 0)
    return head + slots + empty * ((4096 - 32 - len(slots)) // 16) + body


def _berkeley(blobs: Sequence[bytes], place: Path) -> None:
    """Write headers as rpm 4.15 did: a number of 4 bytes, the header."""
    need("db5.3_load")
    rows = [(number.to_bytes(4, "little"), blob) for number, blob in enumerate(blobs, 1)]
    rows.append((bytes(4), len(blobs).to_bytes(4, "little")))  # how many there are
    text = "VERSION=3\nformat=bytevalue\ntype=hash\ndb_pagesize=4096\nHEADER=END\n"
    text += "".join(f" {binascii.hexlify(key).decode()}\n {binascii.hexlify(value).decode()}\n" for key, value in rows)
    subprocess.run(["db5.3_load", str(place / "Packages")], input=f"{text}DATA=END\n", text=True, check=True)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout
