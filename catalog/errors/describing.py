"""Describe errors for programs: class, sentence and values."""

from catalog.errors.root import ImagewrightError


def described(error: ImagewrightError) -> dict[str, object]:
    """Return `type`, `detail` and the values of an error as JSON values."""
    values = {name: plain(value) for name, value in vars(error).items() if not name.startswith("_")}
    return {**values, "type": type(error).__name__, "detail": str(error)}


def plain(value: object) -> object:
    """Return a value as a JSON value; types that JSON lacks become strings."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, ImagewrightError):
        return described(value)
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(part) for part in value]
    return str(value)
