"""Keep the files that we write private to this user, or to the group that the settings name.

The umask is set once in each process, for files that libraries create (SQLite's, logs, sockets). Our own code also
creates files private, so that plain functions called from a process with another umask leave nothing readable.
"""

import errno
import grp
import os
import stat
from contextlib import suppress
from pathlib import Path

from catalog.errors import InvalidRequest
from catalog.settings import Settings, group_named

OPEN = stat.S_IRWXG | stat.S_IRWXO
SHARED = stat.S_ISGID | stat.S_IRWXU | stat.S_IRWXG


def close(settings: Settings) -> None:
    """Make this process and its children create private files, and tighten a home that an older version left readable.

    Raises InvalidRequest if the settings name a group that does not exist.
    """
    group = group_id()
    os.umask(stat.S_IRWXO if group is not None else OPEN)
    with suppress(OSError):  # missing, or owned by another member of the group
        found = settings.home.stat()
        closed = stat.S_IMODE(found.st_mode) == folder_mode() and group in (None, found.st_gid)
        if not closed and not _everybodys(settings.home, found.st_mode):
            _close_home(settings.home, group)


def group_id() -> int | None:
    """Return the id of the group that may also read and write, None for none. Raises InvalidRequest."""
    name = group_named()
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise InvalidRequest("IMAGEWRIGHT_GROUP", name, "a group of this machine (see `getent group`)") from error


def file_mode() -> int:
    """Return the mode of our files."""
    return 0o660 if group_named() else 0o600


def folder_mode() -> int:
    """Return the mode of our folders. With a group it has the set-group-ID bit, so new entries get the group."""
    return SHARED if group_named() else stat.S_IRWXU


def closed(path: str, flags: int) -> int:
    """Open a file for `open(…, opener=closed)`: a new one is private to this user, or to the group."""
    return os.open(path, flags | os.O_CLOEXEC, file_mode())


def make_folder(folder: Path) -> None:
    """Create a private folder and its missing parents. Existing folders keep their mode.

    Raises NotADirectoryError if something else has the name.
    """
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    try:
        folder.mkdir(mode=folder_mode())
    except FileExistsError as error:
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from error
        return
    _hand_over(folder, group_id(), folder_mode())


def _close_home(home: Path, group: int | None) -> None:
    """Tighten the home's own mode first, so that nobody can enter while the rest is walked."""
    _hand_over(home, group, folder_mode())
    for folder, names, files in os.walk(home):
        for name in names:
            _tighten(Path(folder, name), group)
        for name in files:
            _tighten(Path(folder, name), group)


def _tighten(path: Path, group: int | None) -> None:
    """Remove others' permissions from a file; give the group the owner's."""
    with suppress(OSError):  # deleted meanwhile, or owned by somebody else
        found = path.lstat().st_mode
        if stat.S_ISLNK(found):
            return
        owner = found & stat.S_IRWXU
        mode = owner if group is None else owner | owner >> 3
        _hand_over(path, group, mode | (stat.S_ISGID if group is not None and stat.S_ISDIR(found) else 0))


def _hand_over(path: Path, group: int | None, mode: int) -> None:
    if group is not None:
        with suppress(PermissionError):  # a member of the group who is not root may still set the mode
            os.chown(path, -1, group)
    path.chmod(mode)  # after chown, which clears the set-group-ID bit; also restores what the umask removed


def _everybodys(folder: Path, mode: int) -> bool:
    """Tell whether other users need a folder too, such as /tmp or a person's home."""
    return bool(mode & stat.S_ISVTX) or folder in (Path("/"), Path.home())
