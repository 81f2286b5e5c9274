"""qemu-img: the only place that runs it.

Nothing is guessed: both the format and the file driver are named for every image it opens, and no backing file is
followed. It sees only files that passed the inspector, under the limits of `confine`.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, get_args

from catalog.errors import ConversionFailed, ProgramFailed
from catalog.records import ImageFormat, Record
from storage.programs.confine import SILENT, Limits, Output, run

DRIVERS: Mapping[str, str] = {name: "raw" if name == "iso" else name for name in get_args(ImageFormat)}
"""QEMU's driver of each format, which has its name; an ISO is read as raw."""
_OPTIONS = {"qcow2": ("-o", "compat=1.1"), "vmdk": ("-o", "subformat=streamOptimized,adapter_type=lsilogic")}
_PERCENT = re.compile(rb"\((\d+\.\d+)/100%\)")
SLOWEST_BYTES_S = 4 << 20
"""An image read more slowly than this is given up; the slowest real ones (xz in qcow2 on a loaded disk) do 20 MB/s."""


MAX_MAP = 256 << 20  # 90 bytes per extent: a terabyte in pieces of 512 KiB
READS_AT_ONCE = 16


class Extent(NamedTuple):
    """Bytes [start, end) of a guest's disk, and their offset in the image file; None if compressed or absent."""

    start: int
    end: int
    is_zero: bool
    host: int | None


class ImageInfo(Record):
    """qemu-img's description of an image. Sizes in bytes."""

    format: str
    virtual_size_bytes: int
    actual_size_bytes: int


def info(path: Path, image_format: str) -> ImageInfo:
    """Ask qemu-img about a file of a known format. Raises ProgramFailed, MissingProgram."""
    output = _qemu_img("info", ["--output=json", *_opened("-f", path, image_format)], Limits(wall_s=30, cpu_s=20))
    facts = json.loads(output.out)
    return ImageInfo(
        format=facts["format"], virtual_size_bytes=facts["virtual-size"], actual_size_bytes=facts["actual-size"]
    )


def version() -> str:
    """Return qemu-img's version, for the lineage of an image. Raises MissingProgram."""
    return run("qemu-img", ["--version"], Limits()).out.decode("ascii", "replace").splitlines()[0]


def convert_command(source: Path, from_format: str, to_format: str, target: str) -> list[str]:
    """Return the exact arguments of a conversion, for the lineage of an image and for `convert`."""
    words = [*_opened("-f", source, from_format), "-O", DRIVERS[to_format], *_OPTIONS.get(to_format, ())]
    # Writing out of order is faster, but streamOptimized can only be appended to.
    order = [] if to_format == "vmdk" else ["-W"]
    return ["-p", "-m", "8", *order, *words, target]


def convert(
    source: Path, from_format: str, to_format: str, target: Path, progress: Callable[[int, int | None], None]
) -> None:
    """Write the guest content of `source` to `target`, sparse.

    progress: in bytes of virtual size. Raises ConversionFailed, MissingProgram; a partial target may remain.
    """
    try:
        size = info(source, from_format).virtual_size_bytes
        arguments = convert_command(source, from_format, to_format, str(target))
        _qemu_img("convert", arguments, _limits(size), _percent(size, progress))
    except ProgramFailed as failed:
        raise ConversionFailed(from_format, to_format, failed.reason) from failed


def create_overlay(backing: Path, backing_format: str, target: Path, size_bytes: int) -> None:
    """Write an empty qcow2 over a backing file, which is not opened: the cost does not depend on its contents.

    Raises ProgramFailed, MissingProgram.
    """
    words = ["-q", "-f", "qcow2", "-F", DRIVERS[backing_format], "-b", str(backing.absolute()), "-u"]
    largest = (16 << 20) + size_bytes // (1 << 16)  # tables, for a disk of any size
    _qemu_img("create", [*words, str(target), str(size_bytes)], Limits(file_bytes=largest))


def compare(
    first: Path, first_format: str, second: Path, second_format: str, progress: Callable[[int, int | None], None]
) -> bool:
    """Tell whether a guest would see the same bytes in both. Raises ProgramFailed, MissingProgram."""
    size = info(first, first_format).virtual_size_bytes
    if size != info(second, second_format).virtual_size_bytes:
        return False
    images = [*_opened("-f", first, first_format), *_opened("-F", second, second_format)]
    # Options must come before the two names.
    arguments = ["-p", images[0], images[1], images[3], images[4], images[2], images[5]]
    return _qemu_img("compare", arguments, _limits(size), _percent(size, progress), fine=(0, 1)).code == 0


def extents(served: int, image_format: str, size_bytes: int) -> tuple[Extent, ...]:
    """Return the extents of the guest's disk, in order and without gaps.

    served: a socket whose other end serves the image file by NBD; this needs neither network nor a file name.
    size_bytes: virtual size. Raises ProgramFailed, MissingProgram.
    """
    limits = replace(_limits(size_bytes), output_bytes=MAX_MAP)
    words = ["--output=json", *_opened("-f", served, image_format)]
    found = json.loads(_qemu_img("map", words, limits, pass_fds=(served,)).out)
    return tuple(
        Extent(part["start"], part["start"] + part["length"], part["zero"], part.get("offset")) for part in found
    )


def served_size(served: int, image_format: str) -> int:
    """Return the virtual size of a served image file, bytes. Raises ProgramFailed, MissingProgram."""
    words = ["--output=json", *_opened("-f", served, image_format)]
    facts = json.loads(_qemu_img("info", words, Limits(wall_s=30, cpu_s=20), pass_fds=(served,)).out)
    return int(facts["virtual-size"])


def copy_part(served: int, image_format: str, start: int, end: int, taken: int) -> None:
    """Write bytes [start, end) of the guest's disk to a socket, in order and without its zeros.

    served: as for `extents`. taken: a socket whose other end takes a raw file of `end - start` bytes, initially zeros.
    Raises ProgramFailed, MissingProgram.
    """
    disk = _node(served, image_format)
    part = {"driver": "raw", "offset": start, "size": end - start, "file": disk}
    # zeros are searched for in steps of 64 KiB: the default of 4 KiB would split a disk into many more pieces
    words = ["-n", "--target-is-zero", "-S", "64k", "-m", str(READS_AT_ONCE), "-f", "raw", "-O", "raw"]
    names = ["json:" + json.dumps(node) for node in (part, _node(taken, "raw"))]
    _qemu_img("convert", [*words, *names], _limits(end - start), pass_fds=(served, taken))


def _opened(option: str, file: Path | int, image_format: str) -> list[str]:
    return [option, DRIVERS[image_format], "json:" + json.dumps(_node(file, image_format))]


def _node(file: Path | int, image_format: str) -> dict[str, object]:
    """Return the options with which qemu opens a file, or a socket by its number."""
    driver = DRIVERS[image_format]
    below: dict[str, object] = (
        {"driver": "file", "filename": str(file.absolute())}
        if isinstance(file, Path)
        else {"driver": "nbd", "server": {"type": "fd", "str": str(file)}}
    )
    node: dict[str, object] = {"driver": driver, "file": below}
    if driver != "raw":
        node["backing"] = None
    return node


def _limits(size_bytes: int) -> Limits:
    patience = 60 + size_bytes // SLOWEST_BYTES_S
    overhead = (64 << 20) + size_bytes // 64
    return Limits(wall_s=patience, cpu_s=patience, file_bytes=size_bytes + overhead)


def _percent(size: int, progress: Callable[[int, int | None], None]) -> Callable[[bytes], None]:
    def on_output(data: bytes) -> None:
        seen = _PERCENT.findall(data)
        if seen:
            progress(int(size * float(seen[-1]) / 100), size)

    return on_output


def _qemu_img(
    verb: str,
    arguments: list[str],
    limits: Limits,
    on_output: Callable[[bytes], None] = SILENT,
    fine: tuple[int, ...] = (0,),
    pass_fds: tuple[int, ...] = (),
) -> Output:
    output = run("qemu-img", [verb, *arguments], limits, on_output, pass_fds=pass_fds)
    if output.code not in fine:
        raise ProgramFailed("qemu-img", f"{verb}: {output.complaint}")
    return output
