"""VMDK: the rules on sparse header, embedded descriptor and footer.

qemu's reader: block/vmdk.c, vmdk_open_sparse.
"""

import re
from collections.abc import Iterator

from catalog.records import Finding
from storage.formats.rules import Rule, printable
from storage.formats.vmdk.header import AT_END, REDUNDANT, SECTOR, Header, read_footer, read_header

MAX_DESCRIPTOR = (1 << 20) - 1  # qemu's own limit
ALLOWED_TYPES = ("monolithicsparse", "streamoptimized")
NO_PARENT = "ffffffff"
_KNOWN_FIELDS = ("version", "encoding", "cid", "parentcid", "isnativesnapshot", "createtype")
# A backslash names a folder, except as the second byte of a character in a code page such as GBK.
_EXTENT = re.compile(r'(rw|rdonly|noaccess) +(\d+) +sparse +"((?:[^"/\\]|[\x80-\xff]\\)*)"', re.IGNORECASE)
_CONTROL = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FIELD = re.compile(r"([A-Za-z0-9_.]+) *= *(.*)")

SHORT = Rule("vmdk.short", "the file ends inside the VMDK header ({size} bytes); it is truncated")
TEXT = Rule(
    "vmdk.text-descriptor",
    "the file is a VMDK descriptor that names other files as extents; write it as one file (monolithicSparse or streamOptimized)",
)
COWD = Rule("vmdk.esx-sparse", "ESX sparse extents (COWD) are not allowed; write it as streamOptimized")
VERSION = Rule("vmdk.version", "VMDK version {version} is not allowed; versions 1 to 3 are")
NO_CAPACITY = Rule(
    "vmdk.no-capacity", "the header has no capacity: qemu would open the files that its descriptor names"
)
GEOMETRY = Rule("vmdk.geometry", "a grain of {grain} sectors or {entries} entries per grain table are not allowed")
COMPRESSION = Rule("vmdk.compression", "compression {kind} is not allowed; 0 (none) and 1 (deflate) are")
DESCRIPTOR = Rule(
    "vmdk.descriptor", "the descriptor ({size} sectors at sector {start}) is not where it must be or not in the file"
)
ENCODING = Rule(
    "vmdk.descriptor-text", "the descriptor has the control character 0x{code:02x}; it is no text", version=2
)
LINE = Rule("vmdk.descriptor-line", "the descriptor has the line '{line}', which is not understood")
FIELD = Rule(
    "vmdk.descriptor-field", "the descriptor has the unknown field '{name}', which is ignored", severity="warning"
)
TYPE = Rule("vmdk.create-type", "createType '{kind}' is not allowed; monolithicSparse and streamOptimized are")
EXTENTS = Rule(
    "vmdk.external-extents",
    "the descriptor has the extents {extents}; exactly one SPARSE extent, in this file, is allowed",
)
EXTENT_SIZE = Rule(
    "vmdk.extent-size", "the extent has {extent} sectors, the header {capacity}; they may differ by less than a grain"
)
PARENT = Rule("vmdk.parent", "the image needs a parent disk ({hint}); consolidate its snapshots first")
TRACKING = Rule("vmdk.external-file", "the descriptor field '{name}' names another file or a key")
FOOTER = Rule("vmdk.footer", "footer and header differ in {field}; the file is truncated or made to deceive")
NO_FOOTER = Rule("vmdk.no-footer", "the footer that the header announces is not at the end; the file is truncated")
DIRECTORY = Rule("vmdk.grain-directory", "the grain directory at sector {start} does not lie in the file", version=2)


def header_findings(head: bytes, size_bytes: int) -> Iterator[Finding]:
    """Judge header and descriptor. head: at least 1 MiB + 512 bytes if the file has them."""
    if head[:4] == b"COWD":
        yield COWD.found(0)
    elif head[:4] != b"KDMV":
        yield TEXT.found(0)
    elif (header := read_header(head)) is None:
        yield SHORT.found(0, size=size_bytes)
    else:
        yield from _sparse(header, size_bytes)
        yield from _descriptor(header, head, size_bytes)


def tail_findings(head: bytes, tail: bytes, size_bytes: int) -> Iterator[Finding]:
    """Judge the end of the file: footer and end-of-stream marker, if the header announces them."""
    header = read_header(head)
    if head[:4] != b"KDMV" or header is None or header.directory != AT_END:
        return
    footer = read_footer(tail)
    if footer is None:
        yield NO_FOOTER.found(max(size_bytes - 1536, 0))
        return
    for field in (
        "version",
        "flags",
        "capacity",
        "grain",
        "descriptor_offset",
        "descriptor_size",
        "table_entries",
        "compression",
    ):
        if getattr(header, field) != getattr(footer, field):
            yield FOOTER.found(size_bytes - 1024, field=field.replace("_", " "))
    if (
        footer.directory + -(-footer.tables * 4 // SECTOR) if footer.table_entries and footer.grain else AT_END
    ) * SECTOR > size_bytes:
        yield DIRECTORY.found(size_bytes - 1024, start=footer.directory)


def _sparse(header: Header, size_bytes: int) -> Iterator[Finding]:
    if not 1 <= header.version <= 3:
        yield VERSION.found(4, version=header.version)
    if header.capacity == 0:
        yield NO_CAPACITY.found(12)
    grain = header.grain
    if not 1 <= grain <= 128 << 10 or grain & (grain - 1) or header.table_entries != 512:
        yield GEOMETRY.found(20, grain=grain, entries=header.table_entries)
        return
    if header.compression > 1:
        yield COMPRESSION.found(77, kind=header.compression)
    if header.directory != AT_END and header.directory * SECTOR + header.tables * 4 > size_bytes:
        yield DIRECTORY.found(56, start=header.directory)
    spare = header.redundant_directory
    if header.flags & REDUNDANT and 0 < spare < AT_END and spare * SECTOR + header.tables * 4 > size_bytes:
        yield DIRECTORY.found(48, start=spare)


def _descriptor(header: Header, head: bytes, size_bytes: int) -> Iterator[Finding]:
    start, length = header.descriptor_offset * SECTOR, header.descriptor_size * SECTOR
    if header.descriptor_offset != 1 or not 0 < length <= MAX_DESCRIPTOR or start + length > size_bytes:
        yield DESCRIPTOR.found(28, size=header.descriptor_size, start=header.descriptor_offset)
        return
    text = head[start : start + length].split(b"\0", 1)[0]
    control = _CONTROL.search(text)
    if control:
        yield ENCODING.found(start + control.start(), code=control[0][0])
        return
    # VMware writes names and comments in its host's code page (GBK, Latin-1, …) and often names it wrongly. All parts
    # that are judged are ASCII, and qemu too reads byte by byte.
    yield from _lines(text.decode("latin-1"), header, start)


def _lines(text: str, header: Header, start: int) -> Iterator[Finding]:
    fields: dict[str, str] = {}
    extents: list[str] = []
    for line in (part.strip(" \t\r") for part in text.split("\n")):
        if not line or line.startswith("#"):
            continue
        if line.lower().startswith(("rw ", "rdonly ", "noaccess ")):
            extents.append(line)
        elif field := _FIELD.fullmatch(line):
            fields[field[1].lower()] = field[2].strip().strip('"')
        else:
            yield LINE.found(start, line=_shown(line))
    yield from _fields(fields, text, start)
    yield from _extents(extents, header, start)


def _fields(fields: dict[str, str], text: str, start: int) -> Iterator[Finding]:
    kind = fields.get("createtype", "")
    if kind.lower() not in ALLOWED_TYPES:
        yield TYPE.found(start, kind=_shown(kind))
    if fields.get("parentcid", NO_PARENT).lower() != NO_PARENT or "parentfilenamehint" in text.lower():
        hint = fields.get("parentfilenamehint", "no name given")
        yield PARENT.found(start, hint=_shown(hint))
    for name in fields:
        if name.startswith(("changetrackpath", "encryption", "keysafe")):
            yield TRACKING.found(start, name=_shown(name))
        elif name not in _KNOWN_FIELDS and not name.startswith(("ddb.", "parentfilenamehint")):
            yield FIELD.found(start, name=_shown(name))


def _extents(extents: list[str], header: Header, start: int) -> Iterator[Finding]:
    matched = [_EXTENT.fullmatch(line) for line in extents]
    if len(matched) != 1 or matched[0] is None:
        shown = _shown("; ".join(extents)) or "(none)"
        yield EXTENTS.found(start, extents=f"'{shown}'")
    elif abs(int(matched[0][2]) - header.capacity) >= max(header.grain, 1):  # the header rounds up to grains
        yield EXTENT_SIZE.found(start, extent=matched[0][2], capacity=header.capacity)


def _shown(text: str) -> str:
    return printable(text.encode("latin-1", "replace"))
