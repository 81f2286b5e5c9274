"""Root classes of all errors. Import them from `catalog.errors`."""

from typing import Any, ClassVar


class ImagewrightError(Exception):
    """Root of all errors of this system."""

    retryable: ClassVar[bool] = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the finished sentence with the values; by default `__init__` would get only the sentence."""
        return _again, (type(self), *self.args), self.__dict__


def _again(kind: type[ImagewrightError], *args: object) -> ImagewrightError:
    return kind.__new__(kind, *args)


class NotFound(ImagewrightError):
    """The record does not exist, or the account may not see it."""

    kind: ClassVar[str] = "record"
    command: ClassVar[str] = ""  # the command that lists what exists

    def __init__(self, name: str, where: str = "") -> None:
        self.name, self.where = name, where
        asked = f"{name!r} {where}" if where else repr(name)
        remedy = f"; `imagewright {self.command}` lists what there is" if self.command else ""
        super().__init__(f"no {self.kind} {asked}: it does not exist or is not visible to this account{remedy}")
