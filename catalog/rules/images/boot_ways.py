"""The ways in which an image can boot, derived from its boot facts."""

from dataclasses import dataclass
from typing import Literal

from catalog.records import BootFacts, Loader

X86 = "x86_64"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to boot. doubt: present, but whether it works depends on more than the bytes."""

    mode: Literal["Legacy", "UEFI"]
    architecture: str
    path: str = ""  # of the loader
    offset: int | None = None  # on the disk, bytes
    doubt: bool = False

    @property
    def proves(self) -> bool:
        """Tell whether the image was made to boot this way, so that declaring another one was a mistake."""
        return not self.doubt or self.mode == "UEFI"

    def __str__(self) -> str:
        if self.mode == "Legacy":
            return f"boot code {'that nobody here knows ' if self.doubt else ''}for a Legacy BIOS ({X86})"
        place = f" ({self.path}, in the file system at byte {self.offset})" if self.path else ""
        return f"a UEFI boot loader for {self.architecture}{place}"


def ways(facts: BootFacts) -> tuple[Way, ...]:
    """Return the ways to boot, certain ones first."""
    bios = [Way("Legacy", X86, offset=0, doubt=not facts.bios_boot)] if facts.bios_boot or facts.bios_code else []
    sure = [_by_loader(machine, _first(facts, machine, fallback=True)) for machine in facts.uefi_boot]
    vendors = dict.fromkeys(loader.machine for loader in facts.loaders if not loader.fallback)
    entries = [
        _by_loader(machine, _first(facts, machine, fallback=False), doubt=True)
        for machine in vendors
        if machine not in facts.uefi_boot
    ]
    return tuple(sorted((*bios, *sure, *entries), key=lambda way: way.doubt))


def told(found: tuple[Way, ...]) -> str:
    """Name ways to boot for a sentence; doubtful ones only if there are no others."""
    sure = [way for way in found if not way.doubt]
    return " and ".join(map(str, sure or found))


def _by_loader(machine: str, loader: Loader | None, *, doubt: bool = False) -> Way:
    path, offset = (loader.path, loader.offset) if loader else ("", None)
    return Way("UEFI", machine, path, offset, doubt)


def _first(facts: BootFacts, machine: str, *, fallback: bool) -> Loader | None:
    found = (x for x in facts.loaders if x.machine == machine and x.fallback is fallback)
    return next(found, None)
