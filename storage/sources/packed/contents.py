"""What is known of an archive's files as they pass: the disk, its chunks, and the digests to check."""

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from storage.formats.signatures import matches
from storage.sources.packed.ovf import ALGORITHMS, Envelope, MalformedEnvelope, read_envelope, read_manifest

if TYPE_CHECKING:
    from storage.sources.packed.feed import Feed

DISKS = (
    ".vmdk", ".qcow2", ".qcow", ".raw", ".img", ".dd", ".iso", ".vhd", ".vhdx", ".vdi", ".hdd", ".ova",
)  # fmt: skip
_PACKED = re.compile(r"\.(gz|xz|zst|bz2|lzma)$")
_CHUNK = re.compile(r"(.+)\.(\d{9})")
_DISK_FORMATS = {"qcow2", "vmdk", "vhd", "vhdx", "vdi", "qed", "luks", "parallels"}
_FILE_SYSTEMS = ((0, b"XFSB"), (1080, b"\x53\xef"), (0x218, b"LVM2 001"))
_SHOWN, _LISTED = 80, 5  # characters of an untrusted name; names in a sentence


def base(name: str) -> str:
    """Return a member's name without its folders."""
    return name.rpartition("/")[2]


def is_apple(name: str) -> bool:
    """Tell whether a Mac added this entry beside the intended file."""
    return base(name).startswith("._") or "__MACOSX/" in name or base(name) == ".DS_Store"


def is_document(name: str) -> bool:
    """Tell whether a member is an OVF's envelope or manifest."""
    return not is_apple(name) and name.lower().endswith((".ovf", ".mf"))


def _shown(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else f"…{name[-_SHOWN:]}")


class Contents:
    """Decides about each member of an archive in turn."""

    def __init__(self, feed: "Feed") -> None:
        self._feed = feed
        self._envelope: Envelope | None = None
        self._manifest: Mapping[str, tuple[str, str]] | None = None
        self._disk, self._chunk, self._disk_bytes = "", -1, 0  # its name, its last chunk
        self._measuring = ""
        self._hashes: dict[str, hashlib._Hash] = {}
        self._measured: dict[str, dict[str, str]] = {}
        self._seen: list[str] = []
        self.remarks: list[str] = []

    def see(self, name: str) -> None:
        """Remember a name for error sentences."""
        if len(self._seen) <= _LISTED and not is_apple(name):
            self._seen.append(_shown(name))

    def says_disk(self, name: str) -> bool | None:
        """Tell by the OVF or by the name whether a member is a disk; None if neither tells."""
        if is_apple(name):
            return False
        whole = self._whole(name)
        if self._envelope and self._envelope.disks:
            return whole in self._envelope.disks
        return True if _PACKED.sub("", whole.lower()).endswith(DISKS) else None

    def looks_like_disk(self, head: bytes) -> bool:
        """Tell by its first 4 KiB whether a member with a neutral name is a disk; never beside a disk known by name."""
        if self._disk or head[0x202:0x206] == b"HdrS":  # a Linux kernel also begins with a boot sector
            return False
        return (
            head[510:512] == b"\x55\xaa"
            or any(head.startswith(magic, at) for at, magic in _FILE_SYSTEMS)
            or any(name in _DISK_FORMATS for name, _ in matches(head, b"", len(head)))
        )

    def take_document(self, name: str, data: bytes) -> None:
        """Read an .ovf or .mf. Raises UnsafeImage for two disks, or a digest that differs."""
        if name.lower().endswith(".mf"):
            self._manifest = {**(self._manifest or {}), **read_manifest(data)}
        else:
            self._measured[base(name)] = {a: hashlib.new(a, data).hexdigest() for a in ALGORITHMS.values()}
            self._take_envelope(name, data)
        self._hold_to_manifest()

    def enter(self, name: str) -> None:
        """Begin a disk, or its next chunk. Raises UnsafeImage for a second disk, or a chunk out of order."""
        whole, chunk = self._whole(name), _CHUNK.fullmatch(base(name))
        number = int(chunk[2]) if chunk and whole != base(name) else -1
        if self._disk and (whole != self._disk or number < 0):
            raise self._two_disks(self._disk, name)
        if number >= 0 and number != self._chunk + 1:
            raise self._feed.unsafe("chunks", f"chunk {self._chunk + 1} of {_shown(whole)} is not in its place")
        self._disk, self._chunk, self._measuring = whole, number, base(name)
        self._hashes = {a: hashlib.new(a) for a in self._algorithms(base(name))}

    def measure(self, data: memoryview) -> None:
        """Take bytes of the disk as they pass."""
        self._disk_bytes += len(data)
        for digest in self._hashes.values():
            digest.update(data)

    def end_of_member(self) -> None:
        """End the disk, or this chunk of it. Raises UnsafeImage if its digest differs."""
        self._measured[self._measuring] = {a: digest.hexdigest() for a, digest in self._hashes.items()}
        self._hold_to_manifest()

    def end(self) -> None:
        """Judge the whole archive at its end. Raises UnsafeImage if the disk is missing or incomplete."""
        if not self._disk:
            raise self._feed.unsafe("no-disk", self._no_disk())
        said = self._envelope.disks.get(self._disk) if self._envelope else None
        if self._chunk >= 0 and said is not None and self._disk_bytes != said:
            sizes = f"{self._disk_bytes} bytes, the OVF says {said}"
            raise self._feed.unsafe("chunks", f"the chunks of {_shown(self._disk)} have {sizes}")
        if self._manifest is not None:
            self.remarks += [self._unchecked(n) for n in self._measured if not self._checked(n)]

    def _whole(self, name: str) -> str:
        """Return the name of the file that a member is, or is a chunk of."""
        own, chunk = base(name), _CHUNK.fullmatch(base(name))
        listed = self._envelope.disks if self._envelope else {}
        if chunk is None or own in listed:
            return own
        known = chunk[1] in listed or _PACKED.sub("", chunk[1].lower()).endswith(DISKS)
        return chunk[1] if known else own

    def _take_envelope(self, name: str, data: bytes) -> None:
        if self._envelope is not None:
            return  # a twin for another product, beside the first
        try:
            self._envelope = read_envelope(data)
        except MalformedEnvelope as error:
            self.remarks.append(
                f"the archive's {_shown(base(name))} can't be read ({error}); its disk was told by name"
            )
            return
        if len(self._envelope.disks) > 1:
            raise self._two_disks(*list(self._envelope.disks)[:2])

    def _two_disks(self, one: str, other: str) -> Exception:
        return self._feed.unsafe(
            "two-disks", f"it has the disks {_shown(one)} and {_shown(other)}; add them one by one"
        )

    def _no_disk(self) -> str:
        names = ", ".join(self._seen[:_LISTED]) + (" and more" if len(self._seen) > _LISTED else "")
        if self._envelope and self._envelope.disks:
            return f"the OVF names the disk {_shown(next(iter(self._envelope.disks)))}, the archive only holds {names}"
        return (
            f"there is no disk in the archive (a name that ends in {', '.join(DISKS)}); it holds {names or 'nothing'}"
        )

    def _algorithms(self, name: str) -> tuple[str, ...]:
        """Return the algorithms to hash a disk with: its manifest may come only after it."""
        if self._manifest is not None:
            label = self._manifest.get(name, ("", ""))[0]
            return (ALGORITHMS[label],) if label in ALGORITHMS else ()
        return tuple(ALGORITHMS.values()) if self._envelope else ("sha256",)

    def _hold_to_manifest(self) -> None:
        for name, found in self._measured.items():
            label, digest = (self._manifest or {}).get(name, ("", ""))
            actual = found.get(ALGORITHMS.get(label, ""), digest)
            if actual != digest:
                raise self._feed.unsafe(
                    "manifest",
                    f"{_shown(name)} has {label} {actual}, the archive's manifest (.mf) says {digest}; the archive is "
                    "damaged or was changed: fetch it again",
                )

    def _checked(self, name: str) -> bool:
        return ALGORITHMS.get((self._manifest or {}).get(name, ("", ""))[0], "") in self._measured[name]

    def _unchecked(self, name: str) -> str:
        label = (self._manifest or {}).get(name, ("", ""))[0]
        why = f"has no {label} that could be checked of" if label else "does not list"
        return f"the archive's manifest {why} {_shown(name)}: it was taken unchecked"
