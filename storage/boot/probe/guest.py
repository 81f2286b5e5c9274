"""What is installed in a file system: guest OS, virtio drivers, cloud-init, guest agent."""

import re
from dataclasses import dataclass

import pyregf

from storage.boot.probe.filesystems import Files, Stream, read
from storage.boot.probe.iso9660 import IsoFiles
from storage.formats.blocks import Bytes

TEXT, MODULE_LIST = 64 << 10, 4 << 20
MAX_KERNELS = 8
_SYSTEM32 = "/Windows/System32"
_VERSION_KEY = r"Microsoft\Windows NT\CurrentVersion"
_FIRST_BUILD_OF_11 = 22000
_DISK = re.compile(rb"/virtio_(blk|scsi)\.ko")
_NETWORK = re.compile(rb"/virtio_net\.ko")


@dataclass(frozen=True, slots=True)
class Guest:
    """What one file system says about the guest. None: it can't be told from here."""

    os: str
    virtio: bool | None = None  # both of the next two
    virtio_disk: bool | None = None
    virtio_network: bool | None = None
    cloud_init: bool | None = None
    agent: bool | None = None


def read_guest(files: Files) -> Guest | None:
    """Look for an installed system, or the installer of one; None in a file system that only holds data."""
    return _linux(files) or _windows(files) or _medium(files)


def _linux(files: Files) -> Guest | None:
    release = _first(files, ("/usr/lib/os-release", "/etc/os-release"), TEXT)
    name = _pretty_name(release) if release is not None else None
    if name is None:
        plain = _first(files, ("/etc/redhat-release", "/etc/alpine-release", "/etc/debian_version"), 256)
        name = plain.decode("utf-8", "replace").strip() if plain else None
    if name is None:
        return None
    return Guest(
        os=_shown(name),
        **_linux_virtio(files),
        cloud_init=_any(files, ("/usr/bin/cloud-init", "/etc/cloud/cloud.cfg")),
        agent=_any(files, ("/usr/sbin/qemu-ga", "/usr/bin/qemu-ga")),
    )


def _pretty_name(release: bytes) -> str | None:
    fields = dict(line.split("=", 1) for line in release.decode("utf-8", "replace").splitlines() if "=" in line)
    name = fields.get("PRETTY_NAME") or fields.get("NAME")
    return name.strip().strip("\"'") if name else None


def _virtio(drivers: list[tuple[bool, bool]]) -> dict[str, bool | None]:
    """Sum up (disk, network) of several kernels: any of them may be the one that boots. None is told of none."""
    if not drivers:
        return {}
    disk, network = (any(kind) for kind in zip(*drivers, strict=True))
    return {"virtio": any(map(all, drivers)), "virtio_disk": disk, "virtio_network": network}


def _linux_virtio(files: Files) -> dict[str, bool | None]:
    """Look through the kernels' module lists; there may be no kernel (a container, or a kernel elsewhere)."""
    kernels = [f"{root}/{name}" for root in ("/usr/lib/modules", "/lib/modules") for name in files.names(root)]
    kernels = [kernel for kernel in kernels if not kernel.endswith(("/.", "/.."))]
    lists = [_modules(files, kernel) for kernel in kernels[:MAX_KERNELS]]
    known = [text for text in lists if text]
    return _virtio([(bool(_DISK.search(text)), bool(_NETWORK.search(text))) for text in known])


def _modules(files: Files, kernel: str) -> bytes:
    names = ("modules.builtin", "modules.dep")
    return b"\n".join(read(files, f"{kernel}/{name}", MODULE_LIST) or b"" for name in names).strip()


def _windows(files: Files) -> Guest | None:
    if not _any(files, (f"{_SYSTEM32}/ntoskrnl.exe", f"{_SYSTEM32}/config/SOFTWARE")):
        return None
    drivers = {name.lower() for name in files.names(f"{_SYSTEM32}/drivers")}
    return Guest(
        os=_windows_name(files.open(f"{_SYSTEM32}/config/SOFTWARE")),
        **_virtio([(bool(drivers & {"viostor.sys", "vioscsi.sys"}), "netkvm.sys" in drivers)] if drivers else []),
        cloud_init=bool(files.names("/Program Files/Cloudbase Solutions/Cloudbase-Init")),
        agent=_any(files, ("/Program Files/Qemu-ga/qemu-ga.exe", "/Program Files/QEMU-GA/qemu-ga.exe")),
    )


def _windows_name(hive: Bytes | None) -> str:
    """Read the product's name from the registry: a few cells of a file of 100 MB."""
    if hive is None:
        return "Windows"
    try:
        registry = pyregf.file()
        registry.open_file_object(Stream(hive))
        key = registry.get_key_by_path(_VERSION_KEY)
        product = key.get_value_by_name("ProductName").get_data_as_string()
        build = key.get_value_by_name("CurrentBuild").get_data_as_string()
    except (OSError, AttributeError):  # damaged, or without such a key or value
        return "Windows"
    # Windows 11 still calls itself 10 there; only the build tells them apart.
    newer = build.isdecimal() and int(build) >= _FIRST_BUILD_OF_11
    return _shown(product.replace("Windows 10", "Windows 11", 1) if newer else product)


def _medium(files: Files) -> Guest | None:
    """Name the system that an installation medium installs."""
    label = read(files, "/.disk/info", 256)
    if label:
        return Guest(os=_shown(label.decode("utf-8", "replace")))
    tree = read(files, "/.treeinfo", TEXT)
    if tree:
        fields = dict(line.split("=", 1) for line in tree.decode("utf-8", "replace").splitlines() if "=" in line)
        named = {key.strip(): value.strip() for key, value in fields.items()}
        return Guest(os=_shown(f"{named.get('family', 'Linux')} {named.get('version', '')}"))
    if isinstance(files, IsoFiles) and files.publisher.upper().startswith("MICROSOFT CORPORATION"):
        return Guest(os="Windows installation medium")  # its files are in UDF only
    windows = {name.lower() for name in files.names("/sources")} & {"install.wim", "install.esd", "boot.wim"}
    return Guest(os="Windows installation medium") if windows else None


def _first(files: Files, paths: tuple[str, ...], limit: int) -> bytes | None:
    return next((data for path in paths if (data := read(files, path, limit)) is not None), None)


def _any(files: Files, paths: tuple[str, ...]) -> bool:
    return any(read(files, path, 1) is not None for path in paths)


def _shown(text: str) -> str:
    """Keep what can be printed of untrusted text, at most 128 characters."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())[:128]
