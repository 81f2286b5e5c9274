"""Archives as people and programs make them, byte by byte where the standard library would not."""

import hashlib
import io
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Sequence

MIB = 1 << 20
Members = Sequence[tuple[str, bytes]]


def boot_disk(seed: int = 1, size: int = MIB) -> bytes:
    """Return a disk whose first sector ends like an MBR: some noise, many zeros."""
    disk = bytearray(size)
    disk[510:512] = b"\x55\xaa"
    disk[4096 : 4096 + size // 4] = random.Random(seed).randbytes(size // 4)
    return bytes(disk)


def tar_of(*members: tuple[str, bytes], kind: int = tarfile.USTAR_FORMAT) -> bytes:
    """Pack files with Python's own writer."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=kind) as archive:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return target.getvalue()


def tar_header(name: str, size: int, kind: bytes = b"0", mark: bytes = b"ustar\x0000") -> bytearray:
    """Write one header; `checked` must follow any change."""
    head = bytearray(512)
    head[: len(name)] = name.encode()
    head[100:108], head[108:116], head[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    head[124:136], head[136:148] = b"%011o\0" % size, b"00000000000\0"
    head[156:157], head[257 : 257 + len(mark)] = kind, mark
    return checked(head)


def checked(head: bytearray) -> bytearray:
    """Write the checksum of a tar header into it."""
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return head


def padded(data: bytes) -> bytes:
    """Fill up to a block of 512."""
    return data + bytes(-len(data) % 512)


def old_sparse(name: str, spans: Sequence[tuple[int, bytes]], size: int) -> bytes:
    """Write a member as GNU tar did before PAX: 4 spans in the header, 21 more in each block behind it."""
    stored = b"".join(data for _, data in spans)
    head = tar_header(name, len(stored), b"S", b"ustar  \0")
    entries = [b"%011o\0%011o\0" % (at, len(data)) for at, data in spans]
    head[386:482] = b"".join(entries[:4]).ljust(96, b"\0")
    head[482:483], head[483:495] = bytes([len(entries) > 4]), b"%011o\0" % size
    blocks = [entries[at : at + 21] for at in range(4, len(entries), 21)]
    more = [b"".join(block).ljust(504, b"\0") + bytes([block is not blocks[-1]]).ljust(8, b"\0") for block in blocks]
    return bytes(checked(head)) + b"".join(more) + padded(stored) + bytes(1024)


def pax_sparse(name: str, version: str, spans: Sequence[tuple[int, bytes]], size: int) -> bytes:
    """Write a member as GNU tar's PAX formats 0.0, 0.1 and 1.0 do."""
    stored, front = b"".join(data for _, data in spans), b""
    records: list[tuple[str, object]] = [("GNU.sparse.size", size), ("GNU.sparse.numblocks", len(spans))]
    if version == "0.0":
        for at, data in spans:
            records += [("GNU.sparse.offset", at), ("GNU.sparse.numbytes", len(data))]
    elif version == "0.1":
        listed = ",".join(f"{at},{len(data)}" for at, data in spans)
        records += [("GNU.sparse.name", name), ("GNU.sparse.map", listed)]
    else:
        numbers = [len(spans), *(n for at, data in spans for n in (at, len(data)))]
        front = padded(b"".join(b"%d\n" % number for number in numbers))
        records = [("GNU.sparse.major", 1), ("GNU.sparse.minor", 0), ("GNU.sparse.realsize", size)]
        records += [("GNU.sparse.name", name)]
    text = b"".join(_pax_record(f"{key}={value}") for key, value in records)
    head = tar_header("PaxHeaders/1", len(text), b"x") + padded(text)
    inner = name if version == "0.0" else f"GNUSparseFile.1/{name}"
    return bytes(head + tar_header(inner, len(front + stored))) + front + padded(stored) + bytes(1024)


def _pax_record(text: str) -> bytes:
    size = len(text) + 3
    while len(f"{size} {text}\n") != size:
        size += 1
    return f"{size} {text}\n".encode()


def envelope(*disks: str, others: Sequence[str] = (), attributes: str = "") -> bytes:
    """Write an OVF whose disks are these files; attributes: more of them on each disk's File."""
    files = [f'<File ovf:href="{name}" ovf:id="d{n}" {attributes}/>' for n, name in enumerate(disks)]
    files += [f'<File ovf:href="{name}" ovf:id="o{n}"/>' for n, name in enumerate(others)]
    used = [f'<Disk ovf:diskId="vm{n}" ovf:fileRef="d{n}" ovf:capacity="1"/>' for n in range(len(disks))]
    return (
        '<?xml version="1.0"?><Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" '
        'xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">'
        f"<References>{''.join(files)}</References>"
        f'<DiskSection>{"".join(used)}<Disk ovf:diskId="blank" ovf:capacity="9"/></DiskSection></Envelope>'
    ).encode()


def manifest(algorithm: str, *members: tuple[str, bytes], form: str = "{label}({name})= {digest}\n") -> bytes:
    """Write an OVF's manifest of these files."""
    label = algorithm.upper()
    lines = (
        form.format(label=label, name=name, digest=hashlib.new(algorithm, data).hexdigest()) for name, data in members
    )
    return "".join(lines).encode()


class _Pipe(io.BytesIO):
    """A file that can't be sought: what is written to it has its sizes behind the data."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_where: int) -> int:
        raise io.UnsupportedOperation("seek")

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")


def zip_of(
    *members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED, piped: bool = False, large: bool = False
) -> bytes:
    """Pack files with Python's own writer. piped: sizes behind the data; large: zip64."""
    target = _Pipe() if piped else io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in members:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = method
            with archive.open(entry, "w", force_zip64=large) as file:
                file.write(data)
    return target.getvalue()


def zip_entry(name: str, data: bytes, *, flags: int = 0, method: int = 0, sizes: bool = True) -> bytes:
    """Write one local header and its stored data, whatever the header says of it."""
    crc, size = (zlib.crc32(data), len(data)) if sizes else (0, 0)
    head = struct.pack("<HHHHHIIIHH", 20, flags, method, 0, 33, crc, size, size, len(name), 0)
    return b"PK\x03\x04" + head + name.encode() + data


def zip_end(*names: str) -> bytes:
    """Write the directory of a zip: as far as a reader in one pass looks at it."""
    entries = b"".join(b"PK\x01\x02" + struct.pack("<24xHHH12x", len(name), 0, 0) + name.encode() for name in names)
    return entries + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, len(names), len(names), len(entries), 0, 0)
