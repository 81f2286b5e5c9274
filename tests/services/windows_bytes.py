"""Files that tell a Windows guest, written byte by byte: a program's head and a registry hive."""

import struct


def pe_program(machine: int) -> bytes:
    """Write the head of a PE program for a machine."""
    return (
        b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x80).ljust(0x44, b"\0") + b"PE\0\0" + struct.pack("<H", machine)
    )


def registry(product: str, build: str) -> bytes:
    """Write a registry hive with ProductName and CurrentBuild of `Microsoft\\Windows NT\\CurrentVersion`."""
    hive = _Hive()
    values = (hive.text("ProductName", product), hive.text("CurrentBuild", build))
    key = hive.key("CurrentVersion", values=values)
    for name in ("Windows NT", "Microsoft", "ROOT"):
        key = hive.key(name, child=key)
    return hive.file(root=key)


class _Hive:
    """A registry hive under construction, children before parents. Places count from the first bin."""

    NONE = 0xFFFFFFFF

    def __init__(self) -> None:
        self._cells = bytearray()

    def text(self, name: str, value: str) -> int:
        """Add a text value and return its place."""
        data = value.encode("utf-16-le") + b"\0\0"
        head = struct.pack("<2sHIIIHH", b"vk", len(name), len(data), self._cell(data), 1, 1, 0)
        return self._cell(head + name.encode())

    def key(self, name: str, *, child: int = NONE, values: tuple[int, ...] = ()) -> int:
        """Add a key with at most one child, and return its place."""
        none = self.NONE
        children = none if child == none else self._cell(struct.pack("<2sHI4x", b"lf", 1, child))
        listed = self._cell(struct.pack(f"<{len(values)}I", *values)) if values else none
        head = struct.pack("<2sHQII", b"nk", 0x2C if name == "ROOT" else 0x20, 0, 0, none)
        head += struct.pack("<IIIIII", child != none, 0, children, none, len(values), listed)
        return self._cell(head + struct.pack("<II20xHH", none, none, len(name), 0) + name.encode())

    def file(self, root: int) -> bytes:
        """Return the whole file: a header page and one bin."""
        size = -(-(36 + len(self._cells)) // 4096) * 4096
        rest = size - 32 - len(self._cells)
        cells = bytes(self._cells) + struct.pack("<i", rest).ljust(rest, b"\0")
        head = struct.pack("<4sIIQIIIIII", b"regf", 1, 1, 0, 1, 5, 0, 1, root, size).ljust(508, b"\0")
        check = 0
        for (word,) in struct.iter_unpack("<I", head):
            check ^= word
        page = (head + struct.pack("<I", check)).ljust(4096, b"\0")
        return page + struct.pack("<4sIIQQI", b"hbin", 0, size, 0, 0, 0) + cells

    def _cell(self, data: bytes) -> int:
        at, size = 32 + len(self._cells), -(-(len(data) + 4) // 8) * 8
        self._cells += struct.pack("<i", -size) + data.ljust(size - 4, b"\0")
        return at
