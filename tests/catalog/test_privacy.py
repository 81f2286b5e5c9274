"""Who may read what is kept: this user alone, or the group that the settings name; a home of an older version is closed."""

import grp
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog import open_catalog, privacy
from catalog.errors import InvalidRequest
from catalog.settings import load_settings
from deployments.definitions import ROOT

pytestmark = pytest.mark.usefixtures("mask")


@pytest.fixture
def mask() -> Iterator[None]:
    """Begin with the mask of a plain shell."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    """Return the mode of a folder and of all below it, by their path in it."""
    found = {".": folder, **{str(path.relative_to(folder)): path for path in folder.rglob("*")}}
    return {name: stat.S_IMODE(path.lstat().st_mode) for name, path in found.items()}


def opened(group: str) -> Path:
    with open_catalog():
        pass
    return load_settings().home


def a_group(monkeypatch: pytest.MonkeyPatch) -> grp.struct_group:
    """Have the settings name a group that this process may give files to."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to give files to any group")
    found = next(group for group in grp.getgrall() if group.gr_gid != os.getegid())
    monkeypatch.setenv("IMAGEWRIGHT_GROUP", found.gr_name)
    return found


def test_a_new_home_is_closed(home: Path) -> None:
    shutil.rmtree(home)
    with open_catalog():
        assert all(not mode & 0o077 for mode in modes(home).values()), modes(home)
    assert {"catalog.db"} <= modes(home).keys()


def test_a_home_that_was_left_open_is_closed_when_opened(home: Path) -> None:
    with open_catalog():
        pass
    (home / "imagestore").mkdir()
    (home / "imagestore" / "pack").write_bytes(b"chips")
    (home / "cached.raw").touch()
    (home / "elsewhere").symlink_to("/etc")
    for path in (home, *home.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    (home / "cached.raw").chmod(0o444)
    etc = Path("/etc").stat().st_mode
    with open_catalog():
        pass
    found = modes(home)
    assert (found["."], found["imagestore"], found["imagestore/pack"]) == (0o700, 0o700, 0o600)
    assert found["cached.raw"] == 0o400
    assert Path("/etc").stat().st_mode == etc


def test_a_group_reads_and_writes_and_nobody_else(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_catalog():
        (home / "imagestore").mkdir()
        (home / "imagestore" / "pack").write_bytes(b"chips")
    group = a_group(monkeypatch)
    with open_catalog():
        new = home / "new" / "deeper"
        privacy.make_folder(new)
        os.close(os.open(new / "file", os.O_CREAT | os.O_WRONLY, privacy.file_mode()))
        (new / "by a library").touch()
    for name, mode in modes(home).items():
        assert mode == (0o2770 if (home / name).is_dir() else 0o660), name
        assert (home / name).stat().st_gid == group.gr_gid, name


def test_a_group_that_is_not_there_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_GROUP", "nobody-has-it")
    with pytest.raises(InvalidRequest, match=r"IMAGEWRIGHT_GROUP.*nobody-has-it"), open_catalog():
        pass


def test_the_group_is_left_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_group(monkeypatch)
    with open_catalog():
        pass
    monkeypatch.delenv("IMAGEWRIGHT_GROUP")
    with open_catalog():
        pass
    assert all(not mode & 0o077 for mode in modes(home).values()), modes(home)


def test_what_others_need_as_well_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that is /tmp or a person's own: what is made in it is closed, it itself is not touched."""
    for mode, name in ((0o1777, "shared"), (0o755, "person")):
        place = tmp_path / name
        place.mkdir()
        place.chmod(mode)
        monkeypatch.setenv("HOME", str(tmp_path / "person"))
        monkeypatch.setenv("IMAGEWRIGHT_HOME", str(place))
        with open_catalog():
            pass
        assert modes(place)["."] == mode
        assert modes(place)["catalog.db"] == 0o600


def test_an_admins_folder_stays_and_what_is_made_in_it_is_closed(tmp_path: Path) -> None:
    """Plain functions, in a process that never opened a catalog."""
    admins = tmp_path / "srv"
    admins.mkdir(mode=0o755)
    code = (
        "import os, sys; os.umask(0o022)\n"
        "from pathlib import Path\n"
        "from storage.imagestore.objects.directory import DirectoryObjects\n"
        "store = DirectoryObjects(Path(sys.argv[1]) / 'store'); store.prepare()\n"
        "store.put('a/b', b'x'); store.append('log/c', b'y')\n"
    )
    subprocess.run([sys.executable, "-c", code, str(admins)], check=True, cwd=ROOT)
    found = modes(admins)
    assert found.pop(".") == 0o755
    assert {"store/a/b", "store/log/c"} <= found.keys()
    assert all(not mode & 0o077 for mode in found.values()), found
