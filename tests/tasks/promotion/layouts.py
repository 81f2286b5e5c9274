"""What publishers put out, in the shape in which each of them does: pages, lists of checksums, indexes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.services.openpgp import Publisher

NOT_LISTED = ("index.html",)


@dataclass(frozen=True)
class Layout:
    """One publisher's way. files: of each build, with {v} for its version; sums: what lists their checksums."""

    folder: str
    file: str
    sums: str
    watch: Mapping[str, object]
    algorithm: str = "sha256"
    others: tuple[str, ...] = ()
    versions: tuple[str, ...] = field(default=("1.9", "1.10", "1.11"))


LAYOUTS: Mapping[str, Layout] = {
    "debian": Layout(
        "cloud/bookworm/{v}", "debian-12-generic-amd64-{v}.qcow2", "SHA512SUMS",
        {"url": "cloud/bookworm/", "pattern": "{version}/debian-12-generic-amd64-{version}.qcow2", "checksums_url": "SHA512SUMS"},
        "sha512", ("debian-12-generic-arm64-{v}.qcow2", "debian-12-generic-amd64-{v}.json"),
        ("20240415-1718", "20240507-1740", "20240507-1741"),
    ),
    "fedora": Layout(
        "releases/40/Cloud/x86_64/images", "Fedora-Cloud-Base-Generic.x86_64-{v}.qcow2", "Fedora-Cloud-{v}-x86_64-CHECKSUM",
        {
            "url": "releases/40/Cloud/x86_64/images/", "pattern": "Fedora-Cloud-Base-Generic.{arch}-{version}.qcow2",
            "checksums_url": "Fedora-Cloud-{version}-{arch}-CHECKSUM",
        },
        versions=("40-1.9", "40-1.10", "40-1.14"),
    ),
    "almalinux": Layout(
        "almalinux/9/cloud/x86_64/images", "AlmaLinux-9-GenericCloud-{v}.x86_64.qcow2", "CHECKSUM",
        {
            "url": "almalinux/9/cloud/x86_64/images/", "pattern": "AlmaLinux-9-GenericCloud-{version}.{arch}.qcow2",
            "checksums_url": "CHECKSUM",
        },
        others=("AlmaLinux-9-GenericCloud-latest.x86_64.qcow2",), versions=("9.3-20231113", "9.4-20240507", "9.4-20240805"),
    ),
    "opensuse": Layout(
        "distribution/leap/15.6/appliances", "openSUSE-Leap-15.6-Minimal-VM.x86_64-15.6.0-Cloud-Build{v}.qcow2",
        "openSUSE-Leap-15.6-Minimal-VM.x86_64-15.6.0-Cloud-Build{v}.qcow2.sha256",
        {
            "url": "distribution/leap/15.6/appliances/",
            "pattern": "openSUSE-Leap-15.6-Minimal-VM.{arch}-15.6.0-Cloud-Build{version}.qcow2", "checksums_url": "{file}.sha256",
        },
        versions=("18.9", "18.10", "19.2"),
    ),
    "arch": Layout(
        "images/v{v}", "Arch-Linux-x86_64-cloudimg-{v}.qcow2", "Arch-Linux-x86_64-cloudimg-{v}.qcow2.SHA256",
        {"url": "images/", "pattern": "{version}/Arch-Linux-{arch}-cloudimg-{version}.qcow2", "checksums_url": "{file}.SHA256"},
        versions=("20240415.229012", "20240501.232340", "20240515.236157"),
    ),
    "alpine": Layout(
        "alpine/v3.20/releases/cloud", "nocloud_alpine-{v}-x86_64-bios-tiny-r0.qcow2",
        "nocloud_alpine-{v}-x86_64-bios-tiny-r0.qcow2.sha512",
        {
            "url": "alpine/v3.20/releases/cloud/", "pattern": "nocloud_alpine-{version}-{arch}-bios-tiny-r0.qcow2",
            "checksums_url": "{file}.sha512",
        },
        "sha512", versions=("3.20.9", "3.20.10", "3.21.0"),
    ),
}  # fmt: skip
"""By publisher; their versions rise."""


@dataclass(frozen=True)
class Mirror:
    """A publisher's files below a folder that a server serves, with a page for each folder."""

    root: Path

    def put(self, name: str, data: bytes) -> Path:
        """Put a file there; the pages of its folders list it."""
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        return file

    def publish(self, layout: Layout, version: str, data: bytes | None = None, signer: Publisher | None = None) -> str:
        """Put out a build with its sums; return the digest. signer: signs the list inside it."""
        folder, content = (
            layout.folder.replace("{v}", version),
            data if data is not None else f"build {version}".encode(),
        )
        for name in (layout.file, *layout.others):
            self.put(f"{folder}/{name.replace('{v}', version)}", content)
        listed = layout.sums.replace("{v}", version)
        known = self.root / folder / f".{listed}"
        digest = hashlib.new(layout.algorithm, content).hexdigest()
        lines = known.read_bytes() if known.exists() else b"# checksums\n"
        lines += f"{digest}  {layout.file.replace('{v}', version)}\n".encode()
        known.write_bytes(lines)
        self.put(f"{folder}/{listed}", signer.signed(lines) if signer else lines)
        self.list_all()
        return digest

    def list_all(self) -> None:
        """Write the page of each folder anew."""
        for folder in (self.root, *(p for p in self.root.rglob("*") if p.is_dir())):
            names = sorted(
                p.name + "/" * p.is_dir() for p in folder.iterdir() if p.name[0] != "." and p.name not in NOT_LISTED
            )
            links = "".join(f'<a href="{name}">{name}</a>\n' for name in ("../", *names))
            (folder / "index.html").write_text(f"<html><body><pre>{links}</pre></body></html>")


def simplestreams(mirror: Mirror, versions: Mapping[str, bytes], signer: Publisher | None = None) -> None:
    """Put out Ubuntu's tree: an index that names one file of products, whose versions have a disk each."""
    found = {}
    for version, data in versions.items():
        path = f"server/releases/jammy/release-{version}/ubuntu-22.04-server-cloudimg-amd64.img"
        mirror.put(path, data)
        items = {
            "disk1.img": {
                "ftype": "disk1.img",
                "path": path,
                "sha256": hashlib.sha256(data).hexdigest(),
                "size": len(data),
            },
            "manifest": {"ftype": "manifest", "path": f"{path}.manifest", "sha256": "00" * 32, "size": 1},
        }
        found[version] = {"items": items}
    ending = "sjson" if signer else "json"
    place = f"streams/v1/com.ubuntu.cloud:released:download.{ending}"
    product = {"arch": "amd64", "os": "ubuntu", "release": "jammy", "version": "22.04", "versions": found}
    tree = {"format": "products:1.0", "products": {"com.ubuntu.cloud:server:22.04:amd64": product}}
    index = {
        "format": "index:1.0",
        "index": {"com.ubuntu.cloud:released:download": {"datatype": "image-downloads", "path": place}},
    }
    for name, content in ((place, tree), (f"streams/v1/index.{ending}", index)):
        data = json.dumps(content).encode()
        mirror.put(name, signer.signed(data) if signer else data)
