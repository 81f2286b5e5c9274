"""For which machine a program was built: PE (UEFI applications) and ELF (what the guest runs)."""

import struct

_PE = {
    0x014C: "i386",
    0x01C2: "arm",
    0x01C4: "arm",
    0x5064: "riscv64",
    0x6264: "loongarch64",
    0x8664: "x86_64",
    0xAA64: "aarch64",
}


def pe_machine(start: bytes) -> str | None:
    """Return the machine of a PE file from its first 4 KiB, or None if it is none."""
    if len(start) < 64 or start[:2] != b"MZ":
        return None
    at = struct.unpack_from("<I", start, 0x3C)[0]
    if start[at : at + 4] != b"PE\0\0" or len(start) < at + 6:
        return None
    code = struct.unpack_from("<H", start, at + 4)[0]
    return _PE.get(code, f"pe-{code:#06x}")
