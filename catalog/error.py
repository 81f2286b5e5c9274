"""What every error of this system is; see `catalog.errors`, which has them all."""

from typing import ClassVar


class ImagewrightError(Exception):
    """Root of all errors of this system."""

    retryable: ClassVar[bool] = False


class NotFound(ImagewrightError):
    """A record that was asked for does not exist, or its account may not see it."""

    kind: ClassVar[str] = "record"

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"no {self.kind} {name!r}; it does not exist or is not visible to this account")
