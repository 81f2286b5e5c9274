"""Real bootable images, built on the spot from Debian's boot loaders and kept in a cache folder.

Every function returns the path of a finished file that must not be changed, or skips the test with what is missing.
The folder is `IMAGEWRIGHT_TEST_IMAGES`, else `~/.cache/imagewright/images`. Several processes may ask at once.
"""

import fcntl
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

MARKER = "TINY-BOOT-OK"
"""What GRUB prints on the serial console from every tiny disk."""

ISO_FILES = {
    "grub": Path("/usr/lib/grub-rescue/grub-rescue-cdrom.iso"),
    "floppy": Path("/usr/lib/grub-rescue/grub-rescue-floppy.img"),
    "ipxe": Path("/usr/lib/ipxe/ipxe.iso"),
    "memtest": Path("/usr/lib/memtest86+/memtest86+x64.iso"),
}
_GRUB_CONFIG = f"""serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
set timeout=0
echo "{MARKER} platform=$grub_platform cpu=$grub_cpu"
sleep 1
halt
"""
_MODULES = "terminal echo sleep halt part_gpt fat normal configfile"
_EMPTY = ("--locales=", "--fonts=", "--themes=")
MIB = 1 << 20


def folder() -> Path:
    """Return the cache folder, made if missing."""
    place = os.environ.get("IMAGEWRIGHT_TEST_IMAGES", "~/.cache/imagewright/images")
    path = Path(place).expanduser()
    path.mkdir(parents=True, exist_ok=True)
    return path


def need(*programs: str) -> None:
    """Skip the test if one of the programs is not installed."""
    missing = [name for name in programs if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def cached(name: str, build: Callable[[Path, Path], None]) -> Path:
    """Return the file `name` of the cache, built once by `build(target, empty scratch folder)`."""
    target = folder() / name
    with (folder() / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=folder()) as scratch:
                aside = Path(scratch) / name
                build(aside, Path(scratch))
                aside.rename(target)
    return target


def run(*command: str | Path) -> None:
    """Run a tool of the host; its error output is in the exception."""
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    done = subprocess.run([str(word) for word in command], env=environment, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr.decode(errors='replace')[-500:]}")


def package_image(name: str) -> Path:
    """Return an ISO that a Debian package brings: `grub`, `floppy` (an ISO to be put on a floppy), `ipxe`, `memtest`."""
    path = ISO_FILES[name]
    if not path.is_file():
        pytest.skip(f"not installed: {path}")
    return path


def tiny_disk(*modes: str) -> Path:
    """Return a 64 MiB GPT disk that boots GRUB by `bios`, `uefi` or both."""
    need("sgdisk", "grub-mkstandalone", "mkfs.vfat", "mmd", "mcopy")
    for mode, platform in (("bios", "i386-pc"), ("uefi", "x86_64-efi")):
        if mode in modes and not Path(f"/usr/lib/grub/{platform}").is_dir():
            pytest.skip(f"not installed: GRUB for {platform}")

    def build(target: Path, scratch: Path) -> None:
        partitioned(target, 64)
        if "bios" in modes:
            put_bios_core(target, grub_program(scratch, "i386-pc", "core.img", ("serial", "biosdisk")))
        if "uefi" in modes:
            loader = grub_program(scratch, "x86_64-efi", "BOOTX64.EFI", ("serial",))
            put_esp(target, scratch, loader)

    return cached(f"tiny-{'-'.join(sorted(modes))}.raw", build)


def partitioned(target: Path, mib: int) -> None:
    """Write an empty GPT disk: BIOS boot partition at 1 MiB, ESP of 40 MiB at 2 MiB, the rest for Linux."""
    with target.open("wb") as file:
        file.truncate(mib * MIB)
    parts = ("-n1:2048:+1M", "-t1:EF02", "-n2:0:+40M", "-t2:EF00", "-n3:0:0", "-t3:8300")
    run("sgdisk", *parts, target)


def grub_program(scratch: Path, platform: str, name: str, more: tuple[str, ...] = (), lib: Path | None = None) -> Path:
    """Build a GRUB that holds its own configuration."""
    config, program = scratch / "grub.cfg", scratch / name
    config.write_text(_GRUB_CONFIG)
    modules = " ".join((_MODULES, *more))
    place = ("-d", str(lib)) if lib else ()
    run(
        *("grub-mkstandalone", *place, "-O", platform, f"--install-modules={modules}", *_EMPTY),
        *(f"--modules={modules}" if lib is None else "--modules=terminal part_gpt fat", "-o", program),
        f"boot/grub/grub.cfg={config}",
    )
    return program


def put_bios_core(target: Path, program: Path) -> None:
    """Put GRUB's boot sector into the MBR and its core at sector 2048, patched as grub-bios-setup does."""
    core = bytearray(program.read_bytes())
    boot = bytearray(Path("/usr/lib/grub/i386-pc/boot.img").read_bytes()[:512])
    boot[0x5C:0x65] = struct.pack("<QB", 2048, 0xFF)
    boot[0x66:0x68] = b"\x90\x90"  # a hard disk: don't trust the drive number that the BIOS gives
    struct.pack_into("<Q", core, 0x1F4, 2049)
    struct.pack_into("<H", core, 0x1FC, -(-len(core) // 512) - 1)
    assert len(core) <= MIB
    with target.open("r+b") as file:
        boot[0x1B8:0x200] = file.read(512)[0x1B8:0x200]
        file.seek(0)
        file.write(boot)
        file.seek(2048 * 512)
        file.write(core)


def put_esp(target: Path, scratch: Path, *files: Path, start_mib: int = 2) -> None:
    """Write a FAT with the files in EFI/BOOT to the partition that starts at `start_mib`."""
    esp = scratch / "esp"
    with esp.open("wb") as file:
        file.truncate(40 * MIB)
    run("mkfs.vfat", "-F", "32", "-n", "ESP", esp)
    run("mmd", "-i", esp, "::EFI", "::EFI/BOOT")
    run("mcopy", "-i", esp, *files, "::EFI/BOOT/")
    put_part(target, esp, start_mib * MIB)


def put_part(target: Path, part: Path, start: int) -> None:
    """Copy a file into a disk at a place, holes kept."""
    run("dd", f"if={part}", f"of={target}", "bs=1M", f"seek={start // MIB}", "conv=notrunc,sparse")


def hybrid_iso() -> Path:
    """Return an ISO that boots by BIOS and UEFI, from CD and from disk."""
    need("grub-mkrescue", "xorriso", "mformat")

    def build(target: Path, scratch: Path) -> None:
        tree = scratch / "tree"
        (tree / "boot/grub").mkdir(parents=True)
        (tree / "boot/grub/grub.cfg").write_text(_GRUB_CONFIG)
        (tree / ".disk").mkdir()
        (tree / ".disk/info").write_text("Tiny GNU/Linux 1.0 test amd64")
        run("grub-mkrescue", "-o", target, tree)

    return cached("hybrid.iso", build)


def arm64_disk() -> Path:
    """Return a 64 MiB GPT disk with an arm64 GRUB; the boot loader comes from Debian's archive by apt."""
    need("sgdisk", "grub-mkstandalone", "mkfs.vfat", "apt-get", "dpkg-deb")

    def build(target: Path, scratch: Path) -> None:
        lib = _arm64_grub(scratch)
        with target.open("wb") as file:
            file.truncate(64 * MIB)
        run("sgdisk", "-n1:2048:+40M", "-t1:EF00", "-n2:0:0", "-t2:8305", target)
        put_esp(target, scratch, grub_program(scratch, "arm64-efi", "BOOTAA64.EFI", lib=lib), start_mib=1)

    return cached("tiny-arm64.raw", build)


def _arm64_grub(scratch: Path) -> Path:
    """Fetch the package of another architecture with a private package list, so that the host's stays as it is."""
    installed = Path("/usr/lib/grub/arm64-efi")
    if installed.is_dir():
        return installed
    for place in ("lists/partial", "cache/archives/partial"):
        (scratch / place).mkdir(parents=True)
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
        "Dir::Cache": str(scratch / "cache"),
        "Dir::State::lists": str(scratch / "lists"),
        "Dir::State::status": "/dev/null",
    }
    words = [f"-o{key}={value}" for key, value in options.items()]
    try:
        run("apt-get", *words, "-q", "update")
        run("env", "-C", scratch, "apt-get", *words, "-q", "download", "grub-efi-arm64-bin")
    except RuntimeError as error:
        pytest.skip(f"GRUB for arm64 can't be fetched: {error}")
    run("dpkg-deb", "-x", next(scratch.glob("grub-efi-arm64-bin_*.deb")), scratch / "arm64")
    return scratch / "arm64/usr/lib/grub/arm64-efi"


def converted(source: Path, image_format: str, *options: str) -> Path:
    """Return a copy of a raw image in another format, e.g. `converted(disk, "vmdk", "-o", "subformat=streamOptimized")`."""
    need("qemu-img")
    name = "-".join((source.stem, *(o for o in options if o != "-o"))).replace(",", "-").replace("=", "-")
    return cached(
        f"{name}.{image_format}",
        lambda target, _: run("qemu-img", "convert", "-f", "raw", "-O", image_format, *options, source, target),
    )
