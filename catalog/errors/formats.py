"""Errors about an image's bytes and the programs that process them. Import them from `catalog.errors`."""

from collections.abc import Sequence

from catalog.errors.root import ImagewrightError


class FormatMismatch(ImagewrightError):
    """Declared and detected format differ."""

    def __init__(self, declared: str, detected: str, found: str = "") -> None:
        self.declared, self.detected, self.found = declared, detected, found
        why = f" ({found})" if found else ""
        super().__init__(
            f"image_format: declared {declared}, but the bytes are {detected}{why}; declare what the file is"
        )


class UnsafeImage(ImagewrightError):
    """The bytes break a safety rule; `findings` are sentences with rule id and offset. hint: what else can be done."""

    def __init__(self, findings: Sequence[str], hint: str = "") -> None:
        self.findings, self.hint = tuple(findings), hint
        remedy = hint or "correct the file or take another"
        super().__init__(f"the image is refused: {'; '.join((*self.findings, remedy))}")


class ConversionFailed(ImagewrightError):
    """A conversion did not finish, or changed the content that the guest sees."""

    def __init__(self, from_format: str, to_format: str, reason: str) -> None:
        self.from_format, self.to_format, self.reason = from_format, to_format, reason
        super().__init__(
            f"converting {from_format} to {to_format} failed: {reason}; see what `qemu-img check` says of the file"
        )


class BootFailed(ImagewrightError):
    """The image does not boot as declared, and its add requires that it does."""

    def __init__(self, name: str, bios_mode: str, architecture: str, evidence: str) -> None:
        self.name, self.bios_mode, self.architecture, self.evidence = name, bios_mode, architecture, evidence
        super().__init__(
            f"image {name!r} did not boot in {bios_mode} mode on {architecture}: {evidence}; declare how it was made, "
            "or add it with boot_check none"
        )


class MissingProgram(ImagewrightError):
    """A program or library of the host that this operation needs is not installed."""

    def __init__(self, program: str, package: str) -> None:
        self.program, self.package = program, package
        super().__init__(f"{program} is not installed on this worker; install {package}")


class ProgramFailed(ImagewrightError):
    """A program of the host ended with an error, or was stopped at a limit of time, memory, file size or output."""

    def __init__(self, program: str, reason: str) -> None:
        self.program, self.reason = program, reason
        super().__init__(f"{program} failed: {reason}; try again, and look at the file that it was to read")
