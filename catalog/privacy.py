"""Who may read what we write on this machine: nobody but this user, or the members of the group that the settings name.

The mask is set once in each process, for what libraries make (SQLite's files, logs, sockets); what we make ourselves is
made closed as well, so that plain functions called from a process with another mask leave nothing open.
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
    """Have this process and what it starts make closed files, and close a home that an older version left open.

    Raises InvalidRequest if the settings name a group that is not there.
    """
    group = group_id()
    os.umask(stat.S_IRWXO if group is not None else OPEN)
    with suppress(OSError):  # not there yet, or another member's of the group
        found = settings.home.stat()
        closed = stat.S_IMODE(found.st_mode) == folder_mode() and group in (None, found.st_gid)
        if not closed and not _everybodys(settings.home, found.st_mode):
            _close_home(settings.home, group)


def group_id() -> int | None:
    """Return the number of the group that may read and write as well, None for none. Raises InvalidRequest."""
    name = group_named()
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise InvalidRequest("IMAGEWRIGHT_GROUP", name, "a group of this machine (see `getent group`)") from error


def file_mode() -> int:
    """Return the mode that a file of ours is made with."""
    return 0o660 if group_named() else 0o600


def folder_mode() -> int:
    """Return the mode of a folder of ours. Of a group's folder, what is made in it gets the group."""
    return SHARED if group_named() else stat.S_IRWXU


def closed(path: str, flags: int) -> int:
    """Open a file for `open(…, opener=closed)`: one that is made is ours alone, or the group's."""
    return os.open(path, flags | os.O_CLOEXEC, file_mode())


def make_folder(folder: Path) -> None:
    """Make a folder, closed, and what is missing above it. One that is there stays as somebody made it.

    Raises NotADirectoryError where something else has its name.
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
    """Close the home first, so that nobody comes in while the rest is walked."""
    _hand_over(home, group, folder_mode())
    for folder, names, files in os.walk(home):
        for name in names:
            _tighten(Path(folder, name), group)
        for name in files:
            _tighten(Path(folder, name), group)


def _tighten(path: Path, group: int | None) -> None:
    """Take from a file what others may do; give the group what the owner may do."""
    with suppress(OSError):  # gone meanwhile, or somebody else's
        found = path.lstat().st_mode
        if stat.S_ISLNK(found):
            return
        owner = found & stat.S_IRWXU
        mode = owner if group is None else owner | owner >> 3
        _hand_over(path, group, mode | (stat.S_ISGID if group is not None and stat.S_ISDIR(found) else 0))


def _hand_over(path: Path, group: int | None, mode: int) -> None:
    if group is not None:
        with suppress(PermissionError):  # a member of the group that is not root may still set the mode
            os.chown(path, -1, group)
    path.chmod(mode)  # after the owner, which takes the group's bit away; and what the mask took


def _everybodys(folder: Path, mode: int) -> bool:
    """Tell whether a folder is one that others need as well, such as /tmp or a person's home."""
    return bool(mode & stat.S_ISVTX) or folder in (Path("/"), Path.home())
