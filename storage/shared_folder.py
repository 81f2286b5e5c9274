"""Proof that a folder is the same on several hosts: a token that the first one writes and every other one finds."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from catalog.errors import StorageUnavailable
from catalog.files import written_aside
from catalog.privacy import make_folder
from catalog.records import ImageStorage, PrimaryStorage

TOKEN = "imagewright-shared"  # noqa: S105  # a file's name
LONGEST = 256


def leave_token(storage: ImageStorage | PrimaryStorage, token: str) -> None:
    """Write the token into a storage's directory, for other hosts to find. Raises StorageUnavailable."""
    folder = folder_of(storage)
    try:
        make_folder(folder)
        with written_aside(folder / TOKEN) as file:
            file.write(token.encode())
    except OSError as error:
        raise StorageUnavailable(storage.name, error.strerror or str(error)) from error


def require_token(storage: ImageStorage | PrimaryStorage, token: str | None) -> None:
    """Refuse a directory that is not the shared one: whatever lies at its path here is another disk.

    token: the catalog's copy. Raises StorageUnavailable.
    """
    file = folder_of(storage) / TOKEN
    try:
        with file.open("rb") as found:
            seen = found.read(LONGEST).decode(errors="replace")
    except OSError:
        seen = ""
    if not token or seen != token:
        whose = f"host {storage.host!r}" if storage.host else "the host that registered it"
        reason = f"{file} is not what {whose} left in the shared directory: mount that directory here"
        raise StorageUnavailable(storage.name, reason)


def folder_of(storage: ImageStorage | PrimaryStorage) -> Path:
    """Return the directory named by a storage's URL."""
    return Path(unquote(urlsplit(storage.url).path))
