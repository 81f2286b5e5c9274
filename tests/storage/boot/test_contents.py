"""What is inside a disk: as the guest's own programs say it, and never more than an honest sentence of what can't be read."""

import json
import random
import sqlite3
import struct
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalog.records import Contents, Package
from storage.boot.contents import bill_of_materials, contents, purl
from storage.boot.probe.filesystems import Files
from storage.boot.probe.inventory import accounts, apk, deb, rpm
from storage.formats.blocks import Bytes
from storage.local_files import LocalReader
from tests.flows.managed import blank
from tests.services.guest_images import _filled, debian_disk, linux_tree
from tests.services.images import need

NOW = datetime(2026, 3, 1, tzinfo=UTC)
IMAGE = blank(name="debian-12", build_version="12.5", sha256="ab" * 32)
STATUS = Path("/var/lib/dpkg/status")
APK = b"""C:Q1x=
P:musl
V:1.2.5-r0
A:x86_64
T:the musl c library

C:Q1y=
P:busybox
V:1.36.1-r29
A:x86_64
F:bin
R:busybox

C:Q1z=
P:busybox-binsh
V:1.36.1-r29
A:x86_64
o:busybox
"""


class Tree:
    """Files of memory, as the confined process sees those of a guest."""

    def __init__(self, **files: bytes) -> None:
        self.files = {f"/{name.replace('|', '/')}": data for name, data in files.items()}

    def open(self, path: str) -> Bytes | None:
        data = self.files.get(path)
        return None if data is None else Data(data)

    def names(self, path: str) -> list[str]:
        inside = (name.removeprefix(f"{path}/") for name in self.files if name.startswith(f"{path}/"))
        return list(dict.fromkeys(name.partition("/")[0] for name in inside))


class Data:
    def __init__(self, data: bytes) -> None:
        self.data, self.size_bytes = data, len(data)

    def read_at(self, offset: int, size: int) -> bytes:
        return self.data[offset : offset + size]


def tree(**files: bytes) -> Files:
    return Tree(**files)


def disk(folder: Path, **files: bytes) -> Contents:
    """Return what is read of an ext4 disk with these files and a small Linux."""
    need("mkfs.ext4")
    root = linux_tree(folder / "tree")
    for name, data in files.items():
        target = root / name.replace("|", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    made = _filled(folder / "disk.raw", root, "ext4", 64)
    return contents(LocalReader(made), "raw", IMAGE, NOW)


def header(**values: str | int) -> bytes:
    """Return an rpm header as its database has it."""
    tags = {name: tag for tag, name in rpm.TAGS.items()}
    entries, store = b"", b""
    for name, value in values.items():
        if isinstance(value, int):
            store += bytes(-len(store) % 4)
        entries += struct.pack(">IIII", tags[name], 4 if isinstance(value, int) else 6, len(store), 1)
        store += struct.pack(">I", value) if isinstance(value, int) else value.encode() + b"\0"
    return struct.pack(">II", len(values), len(store)) + entries + store


def rpm_database(folder: Path, blobs: list[bytes], *, wal: bool = False) -> bytes:
    file = folder / "rpmdb.sqlite"
    with sqlite3.connect(file) as connection:
        if wal:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
        connection.executemany("INSERT INTO Packages (blob) VALUES (?)", [(blob,) for blob in blobs])
    connection.close()
    return file.read_bytes()


def test_the_packages_of_debian_are_those_that_dpkg_says(tmp_path: Path) -> None:
    if not STATUS.is_file():
        pytest.skip("no dpkg here")
    found = disk(tmp_path, **{"var|lib|dpkg|status": STATUS.read_bytes()})
    fields = (
        "${db:Status-Status}",
        "${Package}",
        "${Version}",
        "${Architecture}",
        "${source:Package}",
        "${source:Version}",
    )
    asked = ["dpkg-query", "-W", "-f", "\t".join(fields) + "\n"]
    rows = [
        line.split("\t")
        for line in subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    ]
    said = {tuple(row[1:]) for row in rows if row[0] == "installed"}
    assert {
        (p.name, p.version, p.arch, p.source or p.name, p.source_version or p.version) for p in found.packages
    } == said
    assert len({p.source for p in found.packages}) > 10
    assert (found.unread, found.kernels, found.guest_os) == ((), ("6.1.0-test",), "Test GNU/Linux 1 (tiny)")
    assert (found.cloud_init, found.guest_agent) == (True, True)
    made = bill_of_materials(IMAGE, found)
    assert len(made["components"]) == len(said)  # type: ignore[arg-type]
    assert made == bill_of_materials(IMAGE, found)
    assert json.loads(json.dumps(made))["metadata"]["component"]["name"] == "debian-12"


@pytest.mark.parametrize("wal", [False, True])
def test_the_packages_of_an_rpm_database(tmp_path: Path, wal: bool) -> None:
    blobs = [
        header(name="bash", version="5.2.26", release="3.fc40", arch="x86_64"),
        header(name="dbus", version="1.14", release="1", epoch=1, arch="noarch"),
        header(name="gpg-pubkey", version="a15b79cc", release="63d04c2c"),
    ]
    (tmp_path / "db").mkdir()
    data = rpm_database(tmp_path / "db", blobs, wal=wal)
    found = disk(tmp_path, **{"usr|lib|sysimage|rpm|rpmdb.sqlite": data})
    assert {(p.kind, p.name, p.version, p.arch) for p in found.packages} == {
        ("rpm", "bash", "5.2.26-3.fc40", "x86_64"), ("rpm", "dbus", "1:1.14-1", "noarch"),
    }  # fmt: skip
    assert found.unread == ()


def test_the_packages_of_alpine(tmp_path: Path) -> None:
    found = disk(tmp_path, **{"usr|lib|apk|db|installed": APK})
    assert {(p.kind, p.name, p.version, p.source) for p in found.packages} == {
        ("apk", "musl", "1.2.5-r0", ""),
        ("apk", "busybox", "1.36.1-r29", ""),
        ("apk", "busybox-binsh", "1.36.1-r29", "busybox"),
    }


def test_users_and_what_should_not_be_there(tmp_path: Path) -> None:
    found = disk(
        tmp_path,
        **{
            "etc|passwd": b"root:x:0:0:r:/root:/bin/bash\ndaemon:x:1:1::/:/usr/sbin/nologin\nops:x:1000:1000::/home/ops:/bin/sh\nx:x:1001:1001::/:/bin/sh\nbad\n",
            "etc|shadow": b"root:!:1::::::\nops:$y$j9T$abc$def:1::::::\nx::1::::::\n",
            "home|ops|.ssh|authorized_keys": b"# mine\nssh-ed25519 AAAA ops\n",
            "etc|ssh|ssh_host_ed25519_key": b"-----BEGIN",
            "etc|machine-id": b"0123456789abcdef0123456789abcdef\n",
        },
    )
    assert {(u.name, u.password, u.authorized_keys) for u in found.users} == {
        ("root", "locked", 0),
        ("ops", "set", 1),
        ("x", "empty", 0),
    }
    assert {f.rule for f in found.findings} == {
        "contents.host-key", "contents.machine-id", "contents.password", "contents.keys", "contents.empty-password",
    }  # fmt: skip
    assert "abc" not in found.model_dump_json()
    assert "no database of packages" in " ".join(found.unread)


def test_what_is_not_read_is_said(tmp_path: Path) -> None:
    empty = tmp_path / "empty.raw"
    empty.write_bytes(bytes(1 << 20))
    assert contents(LocalReader(empty), "raw", IMAGE, NOW).unread == ("no installed system was found",)
    btrfs = tmp_path / "btrfs.raw"
    btrfs.write_bytes(bytes(0x10040) + b"_BHRfS_M" + bytes(1 << 20))
    assert contents(LocalReader(btrfs), "raw", IMAGE, NOW).unread == (
        "no installed system was found; btrfs can't be read here",
    )
    assert rpm.packages(tree(**{"var|lib|rpm|Packages": b"x"})) == (
        [], "/var/lib/rpm/Packages is damaged: of a kind that is not known here",
    )  # fmt: skip
    (tmp_path / "db").mkdir()
    data = rpm_database(tmp_path / "db", [header(name="a", version="1")])
    beside = {"var|lib|rpm|rpmdb.sqlite": data, "var|lib|rpm|rpmdb.sqlite-wal": b"x"}
    assert "changes in a log beside it" in str(rpm.packages(tree(**beside)))


def test_only_what_is_installed_counts() -> None:
    status = b"Package: a\nStatus: install ok installed\nVersion: 1\n\nPackage: b\nStatus: deinstall ok config-files\nVersion: 2\n\n"
    assert deb.packages(tree(**{"var|lib|dpkg|status": status})) == (
        [{"kind": "deb", "name": "a", "version": "1", "arch": ""}], "",
    )  # fmt: skip
    parts = {"var|lib|dpkg|status.d|base": b"Package: base\nVersion: 12\nArchitecture: all\n"}
    assert [row["name"] for row in (deb.packages(tree(**parts)) or ([], ""))[0]] == ["base"]
    assert deb.packages(tree()) is None


@pytest.mark.parametrize("kind", ["deb", "apk", "rpm", "accounts"])
def test_mutated_databases_raise_nothing_of_their_own(tmp_path: Path, kind: str) -> None:
    rng = random.Random(11)
    blobs = [header(name=f"p{n}", version="1", release="2", epoch=n, arch="noarch") for n in range(20)]
    whole = {
        "deb": b"Package: a\nStatus: install ok installed\nVersion: 1\n\n" * 20,
        "apk": APK * 10,
        "rpm": rpm_database(tmp_path, blobs),
        "accounts": b"root:x:0:0:r:/root:/bin/bash\n" * 20,
    }[kind]
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 30)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        del data[rng.randrange(len(data)) + 1 :]
        if kind == "accounts":
            files = tree(**{"etc|passwd": bytes(data), "etc|shadow": bytes(data)})
            list(accounts.findings(files, accounts.users(files)))
        else:
            place = {"deb": "var|lib|dpkg|status", "apk": "lib|apk|db|installed", "rpm": "var|lib|rpm|rpmdb.sqlite"}[
                kind
            ]
            {"deb": deb, "apk": apk, "rpm": rpm}[kind].packages(tree(**{place: bytes(data)}))


@pytest.mark.parametrize(
    ("package", "distribution", "url"),
    [
        (
            Package(kind="deb", name="libstdc++6", version="12.2.0-14", arch="amd64"),
            "debian",
            "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64",
        ),
        (Package(kind="deb", name="vim", version="2:9.0"), "debian", "pkg:deb/debian/vim@2%3A9.0"),
        (
            Package(kind="rpm", name="dbus", version="1:1.14-1", arch="noarch"),
            "fedora",
            "pkg:rpm/fedora/dbus@1.14-1?arch=noarch&epoch=1",
        ),
        (Package(kind="apk", name="musl", version="1.2.5-r0"), "", "pkg:apk/musl@1.2.5-r0"),
    ],
)
def test_packages_have_their_urls(package: Package, distribution: str, url: str) -> None:
    assert purl(package, distribution) == url


@pytest.mark.long  # it is built first, in a minute of a processor; above a disk holds what this machine's dpkg has
def test_the_packages_of_a_real_debian_disk_are_those_of_its_own_database(tmp_path: Path) -> None:
    file = debian_disk()
    at = f"{file}?offset={66 << 20}"
    status = subprocess.run(["debugfs", "-R", "cat /var/lib/dpkg/status", at], capture_output=True, check=True).stdout
    found = contents(LocalReader(file), "raw", IMAGE, NOW)
    assert len(found.packages) == status.count(b"\nStatus: install ok installed\n") > 100
    assert all(f"Package: {package.name}\n".encode() in status for package in found.packages)
    assert (found.unread, found.os_release["VERSION_ID"]) == ((), "12")
    assert [finding.sentence for finding in found.findings] == ["user root has an empty password"]
