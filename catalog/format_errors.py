"""What goes wrong with an image's bytes and the programs that work on them; to be had from `catalog.errors`."""

from collections.abc import Sequence

from catalog.error import ImagewrightError


class FormatMismatch(ImagewrightError):
    """Declared and detected format differ."""

    def __init__(self, declared: str, detected: str, found: str = "") -> None:
        self.declared, self.detected, self.found = declared, detected, found
        why = f" ({found})" if found else ""
        super().__init__(
            f"image_format: declared {declared}, but the bytes are {detected}{why}; declare what the file is"
        )


class UnsafeImage(ImagewrightError):
    """The bytes break a safety rule; `findings` are sentences with rule id and offset."""

    def __init__(self, findings: Sequence[str]) -> None:
        self.findings = tuple(findings)
        super().__init__(f"the image is refused: {'; '.join(self.findings)}")


class ConversionFailed(ImagewrightError):
    """A conversion did not finish, or its result is not the guest content of its input."""

    def __init__(self, from_format: str, to_format: str, reason: str) -> None:
        self.from_format, self.to_format, self.reason = from_format, to_format, reason
        super().__init__(f"converting {from_format} to {to_format} failed: {reason}")


class MissingProgram(ImagewrightError):
    """A program or library of the host that this operation needs is not installed."""

    def __init__(self, program: str, package: str) -> None:
        self.program, self.package = program, package
        super().__init__(f"{program} is not installed on this worker; install {package}")


class ProgramFailed(ImagewrightError):
    """A program of the host ended with an error, or was stopped at a limit of time, memory, file size or output."""

    def __init__(self, program: str, reason: str) -> None:
        self.program, self.reason = program, reason
        super().__init__(f"{program} failed: {reason}")
