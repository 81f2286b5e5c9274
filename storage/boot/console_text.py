"""What a console says about a boot: pure functions over the text of the serial line and of a PC's text screen."""

import re

_ESCAPES = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]|\x1b[()][A-Z0-9]|[\x00-\x08\x0b-\x1f\x7f]")
_HANDED_OVER = re.compile(r'Booting from [^\n.]*\.\.\.|BdsDxe: starting Boot[0-9A-F]+ "(?!EFI Internal Shell)[^\n]*')
_FINAL = re.compile(
    r"No bootable device|No bootable option or device was found|not a bootable disk|UEFI Interactive Shell"
)
_FIRMWARE = re.compile(
    r"No bootable device[^\n]*|not a bootable disk|Boot failed: [^\n]*|BdsDxe: [^\n]*|"
    r"Press any key[^\n]*|SeaBIOS[^\n]*|iPXE \(http[^\n]*"
)
_KERNEL = re.compile(r"Linux version [^\n]{1,80}|Booting Linux on physical CPU|Windows Boot Manager")
_LOGIN = re.compile(r"^[^\n]{0,80}\blogin: ?$", re.MULTILINE)
_PANIC = re.compile(r"Kernel panic - not syncing[^\n]{0,160}")
MEANINGFUL = 4  # characters; a cursor or a stray byte is no boot loader


def printable(serial: bytes) -> str:
    """Return the text of a serial console without escape sequences."""
    return _ESCAPES.sub("", serial.decode("latin-1"))


def handed_over(screen: str, serial: str) -> bool:
    """Tell whether the firmware said that it starts something from the image."""
    return bool(_HANDED_OVER.search(screen) or _HANDED_OVER.search(serial))


def evidence(screen: str, serial: str, *, by_bios: bool) -> str:
    """Return the first line that the firmware did not write, or an empty string.

    screen: the text screen, empty under UEFI. A BIOS writes nothing to the serial line, so whatever is there counts; UEFI
    writes everything there, so only what follows its hand-over counts.
    """
    kernel = _KERNEL.search(f"{screen}\n{serial}")
    if kernel:
        return kernel[0].strip()
    texts = (_after_hand_over(screen), serial) if by_bios else (_after_hand_over(serial),)
    for text in texts:
        lines = [line.strip() for line in _FIRMWARE.sub("", text).splitlines()]
        seen = next((line for line in lines if len(line) >= MEANINGFUL), "")
        if seen:
            return seen[:120]
    return ""


def asks_for_login(screen: str, serial: str) -> str:
    """Return the line in which a system asks who comes in, or an empty string."""
    found = _LOGIN.search(f"{screen}\n{serial}".replace("\r", ""))
    return found[0].strip() if found else ""


def panic(screen: str, serial: str) -> str:
    """Return a kernel's last words, or an empty string."""
    found = _PANIC.search(f"{screen}\n{serial}")
    return found[0].strip() if found else ""


def complaint(screen: str, serial: str) -> str:
    """Return the firmware's word that nothing boots, or an empty string."""
    found = _FINAL.search(f"{screen}\n{serial}")
    return f"the firmware says: {found[0]}" if found else ""


def _after_hand_over(text: str) -> str:
    found = list(_HANDED_OVER.finditer(text))
    shell = text.find("UEFI Interactive Shell")
    end = shell if shell >= 0 else len(text)
    return text[found[-1].end() : end] if found else ""
