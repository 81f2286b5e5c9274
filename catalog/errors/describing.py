"""An error as programs read it: its class, its sentence and its values."""

from catalog.errors.root import ImagewrightError


def described(error: ImagewrightError) -> dict[str, object]:
    """Return `type`, `detail` and the values of an error, as JSON has them."""
    values = {name: plain(value) for name, value in vars(error).items() if not name.startswith("_")}
    return {**values, "type": type(error).__name__, "detail": str(error)}


def plain(value: object) -> object:
    """Return a value as JSON has it; what JSON does not know by its words."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, ImagewrightError):
        return described(value)
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(part) for part in value]
    return str(value)
