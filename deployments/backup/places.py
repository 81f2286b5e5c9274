"""Places that keep backups: a folder or a bucket prefix. A backup without a manifest is incomplete and not listed."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from catalog.errors import BackupFailed
from catalog.files import sync
from catalog.privacy import file_mode, folder_mode, make_folder
from catalog.settings import Settings
from storage.sources.masking import mask

MANIFEST = "manifest.json"
PREFIX = "imagewright-"
S3 = "s3://"


class Place(Protocol):
    """Keeps backups, each a set of files under a name."""

    def names(self) -> list[str]:
        """Return the names of the complete backups, oldest first."""
        ...

    def keep(self, name: str, files: Path) -> str:
        """Store the files of a folder as a backup, the manifest last; return its location."""
        ...

    def fetched(self, name: str, into: Path) -> Path:
        """Return a folder with the files of a backup; files that have to be downloaded go into `into`."""
        ...


class Folder:
    """Backups as subfolders of a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> list[str]:
        """Return the subfolders that have a manifest."""
        return sorted(found.parent.name for found in self._path.glob(f"{PREFIX}*/{MANIFEST}"))

    def keep(self, name: str, files: Path) -> str:
        """Copy under a temporary name, sync to disk, then rename."""
        aside, target = self._path / f".{name}.part", self._path / name
        shutil.rmtree(aside, ignore_errors=True)
        make_folder(aside)
        for file in sorted(files.iterdir()):
            copy = aside / file.name
            shutil.copyfile(file, copy)
            copy.chmod(file_mode())
            sync(copy)
        aside.chmod(folder_mode())
        sync(aside)
        aside.rename(target)
        sync(self._path)
        return str(target)

    def fetched(self, name: str, into: Path) -> Path:  # noqa: ARG002  # it is here
        """Return the backup's own folder."""
        return self._path / name


class Bucket:
    """Backups below a bucket prefix; credentials and endpoint come from the AWS environment variables."""

    def __init__(self, url: str) -> None:
        import s3fs

        self._root = url.removeprefix(S3).rstrip("/")
        self._files = s3fs.S3FileSystem(use_listings_cache=False)

    def names(self) -> list[str]:
        """Return the backups that have a manifest."""
        found: list[str] = self._files.glob(f"{self._root}/{PREFIX}*/{MANIFEST}")
        return sorted(path.split("/")[-2] for path in found)

    def keep(self, name: str, files: Path) -> str:
        """Upload the files, the manifest last."""
        for file in sorted(files.iterdir(), key=lambda found: (found.name == MANIFEST, found.name)):
            self._files.put_file(str(file), f"{self._root}/{name}/{file.name}")
        return f"{S3}{self._root}/{name}"

    def fetched(self, name: str, into: Path) -> Path:
        """Download the files."""
        for path in self._files.ls(f"{self._root}/{name}", detail=False):
            self._files.get_file(path, str(into / Path(path).name))
        return into


@contextmanager
def opened(place: str) -> Iterator[Place]:
    """Yield the named place. Raises BackupFailed if it does not answer."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield Bucket(place) if place.startswith(S3) else Folder(Path(place).expanduser().absolute())
    except (OSError, BotoCoreError, ClientError) as error:
        raise BackupFailed(mask(place), " ".join(str(error).split())) from error


@contextmanager
def workspace(settings: Settings) -> Iterator[Path]:
    """Yield an empty, private, temporary folder on the disk of the scratch folder, never in /tmp."""
    make_folder(settings.scratch_folder)
    with TemporaryDirectory(prefix="backup-", dir=settings.scratch_folder) as folder:
        yield Path(folder)
