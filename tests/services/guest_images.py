"""Disks with guests on them: Linux and Windows trees written without mounting anything, and a real Debian."""

import os
from pathlib import Path

import pytest

from tests.services.images import MIB, cached, need, partitioned, put_bios_core, put_esp, put_part, run
from tests.services.lvm_bytes import logical_volume
from tests.services.windows_bytes import pe_program, registry

LINUX_NAME = "Test GNU/Linux 1 (tiny)"
WINDOWS_NAME = "Windows Server 2022 Standard"
_MODULES = "kernel/drivers/block/virtio_blk.ko:\nkernel/drivers/net/virtio_net.ko: kernel/net/core/failover.ko\n"


def linux_tree(root: Path, *, virtio: bool = True, cloud: bool = True, agent: bool = True) -> Path:
    """Write what tells a Linux guest, and what it has, below `root`."""
    files = {
        "usr/lib/os-release": f'NAME=Test\nPRETTY_NAME="{LINUX_NAME}"\n',
        "usr/lib/modules/6.1.0-test/modules.dep": _MODULES if virtio else "kernel/fs/ext4/ext4.ko:\n",
        "usr/lib/modules/6.1.0-test/modules.builtin": "kernel/fs/ext4/ext4.ko\n",
        "etc/fstab": "\n",
        **({"usr/bin/cloud-init": "#!/usr/bin/python3\n"} if cloud else {}),
        **({"usr/sbin/qemu-ga": "\x7fELF"} if agent else {}),
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    (root / "lib").symlink_to("usr/lib")
    return root


def linux_disk(filesystem: str = "ext4", *, virtio: bool = True, cloud: bool = True, agent: bool = True) -> Path:
    """Return a GPT disk whose third partition holds a small Linux tree in `ext2`, `ext4`, `xfs`, or `lvm` (ext4 on LVM2)."""
    need("sgdisk", "mkfs.xfs" if filesystem == "xfs" else "mkfs.ext4")

    def build(target: Path, scratch: Path) -> None:
        tree = linux_tree(scratch / "tree", virtio=virtio, cloud=cloud, agent=agent)
        mib = 400 if filesystem == "xfs" else 100  # mkfs.xfs makes none below 300 MiB
        partitioned(target, mib)
        part = _filled(scratch / "part", tree, "ext4" if filesystem == "lvm" else filesystem, mib - 60)
        put_part(target, logical_volume(scratch / "pv", part) if filesystem == "lvm" else part, 42 * MIB)

    name = "-".join((filesystem, *(n for n, on in (("virtio", virtio), ("cloud", cloud), ("agent", agent)) if on)))
    return cached(f"linux-{name}.raw", build)


def data_disk(filesystem: str = "ext4") -> Path:
    """Return a disk without partitions that only holds a file system with data, `ext4` or `vfat`."""
    need(f"mkfs.{filesystem}")

    def build(target: Path, scratch: Path) -> None:
        (scratch / "tree").mkdir()
        (scratch / "tree/data.txt").write_text("data")
        _filled(target, scratch / "tree", filesystem, 16)

    return cached(f"data-{filesystem}.raw", build)


def _filled(target: Path, tree: Path, filesystem: str, mib: int) -> Path:
    with target.open("wb") as file:
        file.truncate(mib * MIB)
    if filesystem == "vfat":
        run("mkfs.vfat", target)
        run("mcopy", "-i", target, "-s", *tree.iterdir(), "::")
    elif filesystem == "ntfs":
        _fill_ntfs(target, tree)
    elif filesystem == "xfs":
        prototype = target.with_suffix(".proto")
        prototype.write_text("/\n0 0\nd--755 0 0\n" + _prototype(tree) + "$\n")
        run("mkfs.xfs", "-q", "-f", "-p", prototype, target)
    else:
        run(f"mkfs.{filesystem}", "-q", "-d", tree, target)
    return target


def _fill_ntfs(target: Path, tree: Path) -> None:
    need("mkntfs", "ntfs-3g", "umount")
    if os.geteuid() != 0 or not Path("/dev/fuse").exists():
        pytest.skip("NTFS can be written by root with FUSE only")
    run("mkntfs", "-F", "-q", "-Q", target)
    mounted = target.with_suffix(".mounted")
    mounted.mkdir()
    try:
        run("ntfs-3g", target, mounted)
    except RuntimeError as error:
        pytest.skip(f"NTFS can't be mounted here: {error}")
    try:
        run("cp", "-r", *tree.iterdir(), mounted)
    finally:
        run("umount", mounted)


def _prototype(folder: Path) -> str:
    """Describe a tree as mkfs.xfs wants it."""
    lines = []
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            lines.append(f"{path.name} l--777 0 0 {path.readlink()}\n")
        elif path.is_dir():
            lines.append(f"{path.name} d--755 0 0\n{_prototype(path)}$\n")
        else:
            lines.append(f"{path.name} ---644 0 0 {path}\n")
    return "".join(lines)


def windows_disk(
    filesystem: str = "vfat", *, virtio: bool = True, product: str = WINDOWS_NAME, build: str = "20348"
) -> Path:
    """Return a disk laid out like Windows Server: ESP with its boot manager's fallback copy, and a volume with System32.

    filesystem: `vfat`, which can be written without mounting, or `ntfs`, which takes FUSE and root.
    """
    need("sgdisk", "mkfs.vfat", "mmd", "mcopy")

    def write(target: Path, scratch: Path) -> None:
        with target.open("wb") as file:
            file.truncate(120 * MIB)
        run("sgdisk", "-n1:2048:+40M", "-t1:EF00", "-n2:0:+1M", "-t2:0C01", "-n3:0:0", "-t3:0700", target)
        loader = scratch / "BOOTX64.EFI"
        loader.write_bytes(pe_program(0x8664))
        put_esp(target, scratch, loader, start_mib=1)
        put_part(
            target,
            _filled(
                scratch / "volume",
                _windows_tree(scratch / "tree", virtio, registry(product, build)),
                filesystem,
                70,
            ),
            42 * MIB,
        )

    name = "-".join(("windows", filesystem, build, *(("virtio",) if virtio else ())))
    return cached(f"{name}.raw", write)


def _windows_tree(tree: Path, virtio: bool, software: bytes) -> Path:
    system = tree / "Windows/System32"
    for name in ("config", "drivers"):
        (system / name).mkdir(parents=True)
    (system / "ntoskrnl.exe").write_bytes(pe_program(0x8664))
    (system / "config/SOFTWARE").write_bytes(software)
    for name in ("viostor.sys", "netkvm.sys") if virtio else ("disk.sys",):
        (system / "drivers" / name).write_bytes(b"MZ")
    return tree


def debian_disk() -> Path:
    """Return a real Debian disk (2 GiB raw, 330 MB of it data) that boots by BIOS and UEFI. About a minute the first time."""
    given = os.environ.get("IMAGEWRIGHT_TEST_DEBIAN")
    if given:
        return Path(given)
    need("mmdebstrap", "sgdisk", "grub-mkstandalone", "mkfs.ext4", "mkfs.vfat", "mcopy")
    if os.geteuid() != 0:
        pytest.skip("a Debian disk can be built by root only")
    return cached("debian.raw", _build_debian)


def cloud_disk() -> Path:
    """Return a real Debian disk like `debian_disk` that has cloud-init as well."""
    need("mmdebstrap", "sgdisk", "grub-mkstandalone", "mkfs.ext4", "mkfs.vfat", "mcopy")
    if os.geteuid() != 0:
        pytest.skip("a Debian disk can be built by root only")
    return cached("debian-cloud.raw", _build_cloud)


_PACKAGES = "systemd-sysv,udev,kmod,linux-image-cloud-amd64,initramfs-tools,iproute2,ca-certificates"
_GRUB_STARTED = ("part_gpt", "ext2", "fat", "search", "search_label", "configfile")
_GRUB_MODULES = (
    *_GRUB_STARTED,
    "normal",
    "linux",
    "serial",
    "terminal",
    "echo",
    "test",
    "sleep",
    "halt",
    "reboot",
)
_GRUB_EARLY = """insmod part_gpt
insmod ext2
search --no-floppy --label root --set=root
set prefix=($root)/boot/grub
configfile ($root)/boot/grub/grub.cfg
"""
_GRUB_MENU = """serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
set timeout=0
search --no-floppy --label root --set=root
menuentry 'Debian' { linux /vmlinuz root=LABEL=root ro console=tty0 console=ttyS0,115200 ; initrd /initrd.img }
"""


def _build_cloud(target: Path, scratch: Path) -> None:
    root = scratch / "root"
    _install_debian(root, "cloud-init", "python3")
    # The disk has no locales, to be small: cloud-init would say, truly, that it failed to set one.
    (root / "etc/cloud/cloud.cfg.d/90_locale.cfg").write_text("locale: false\n")
    _onto_disk(root, target, scratch)


def _build_debian(target: Path, scratch: Path) -> None:
    root = scratch / "root"
    _install_debian(root)
    _onto_disk(root, target, scratch)


def _onto_disk(root: Path, target: Path, scratch: Path) -> None:
    for platform in ("i386-pc", "x86_64-efi"):
        modules = root / "boot/grub" / platform
        modules.mkdir(parents=True)
        for module in Path("/usr/lib/grub", platform).glob("*.[ml][os][dt]"):
            (modules / module.name).write_bytes(module.read_bytes())
    (root / "boot/grub/grub.cfg").write_text(_GRUB_MENU)
    partitioned_for_debian(target)
    early = scratch / "early.cfg"
    early.write_text(_GRUB_EARLY)
    core, loader = (_debian_grub(scratch, early, *p) for p in (("i386-pc", "core.img"), ("x86_64-efi", "BOOTX64.EFI")))
    put_bios_core(target, core)
    put_esp(target, scratch, loader)
    start = 66 * MIB
    blocks = (2048 * MIB - start) // 1024 - 1024
    run(
        "mkfs.ext4",
        "-q",
        "-L",
        "root",
        "-d",
        root,
        "-E",
        f"offset={start},lazy_itable_init=0",
        target,
        f"{blocks}k",
    )


def partitioned_for_debian(target: Path) -> None:
    """Write an empty 2 GiB GPT disk: BIOS boot, ESP, root from 66 MiB on."""
    with target.open("wb") as file:
        file.truncate(2048 * MIB)
    run(
        "sgdisk",
        "-n1:2048:+1M",
        "-t1:EF02",
        "-n2:0:+64M",
        "-t2:EF00",
        f"-n3:{66 * 2048}:0",
        "-t3:8304",
        target,
    )


def _install_debian(root: Path, *more: str) -> None:
    sources = [p for d in ("/etc/apt/sources.list", "/etc/apt/sources.list.d") for p in _lists(Path(d))]
    excluded = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "locale", "doc")]
    hook = 'printf "LABEL=root / ext4 errors=remount-ro 0 1\n" > "$1/etc/fstab"; chroot "$1" passwd -d root'
    run(
        *(
            "mmdebstrap",
            "--quiet",
            "--mode=root",
            "--variant=minbase",
            f"--include={','.join((_PACKAGES, *more))}",
            *excluded,
        ),
        *(f"--customize-hook={hook}", "bookworm", str(root), *map(str, sources)),
    )
    for name in ("var/cache/apt", "var/lib/apt/lists"):
        run("find", root / name, "-type", "f", "-delete")


def _lists(place: Path) -> list[Path]:
    found = sorted((*place.glob("*.list"), *place.glob("*.sources"))) if place.is_dir() else [place]
    return [path for path in found if path.is_file() and path.stat().st_size]


def _debian_grub(scratch: Path, early: Path, platform: str, name: str) -> Path:
    bios = ("biosdisk",) if platform == "i386-pc" else ()
    installed, started = (*_GRUB_MODULES, *bios), (*bios, *_GRUB_STARTED)
    run(
        *("grub-mkstandalone", "-O", platform, f"--install-modules={' '.join(installed)}"),
        *(f"--modules={' '.join(started)}", "--locales=", "--fonts=", "--themes="),
        *("-o", str(scratch / name), f"boot/grub/grub.cfg={early}"),
    )
    return scratch / name
