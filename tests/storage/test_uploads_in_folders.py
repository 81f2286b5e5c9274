"""What only a folder has to promise: the room of its disk, and files that are no uploads."""

import os
import shutil
from pathlib import Path
from uuid import uuid4

import pytest

from catalog.errors import InvalidRequest, SourceForbidden
from storage.sources import open_source
from storage.uploads import url_of
from tests.storage.uploads_at import At, uploads_at


@pytest.fixture
def at(tmp_path: Path) -> At:
    return uploads_at("folder", tmp_path)


def test_no_room_is_said_before_a_byte_comes(at: At) -> None:
    with pytest.raises(InvalidRequest, match="room for"):
        at.begun(1 << 60)
    assert not list(at.open().all())


def test_room_promised_to_an_unfinished_upload_is_not_free(at: At) -> None:
    at.settings.uploads_folder.mkdir(parents=True)
    most = shutil.disk_usage(at.settings.uploads_folder).free * 7 // 10
    first = at.begun(most)
    with pytest.raises(InvalidRequest, match="room for"):
        at.begun(most)
    at.append(first, b"0123")
    at.open().discard(first.id)
    at.begun(most)


def test_a_half_made_upload_is_removed_once_it_is_old(at: At) -> None:
    aside = at.settings.uploads_folder / f".{uuid4()}"
    aside.mkdir(parents=True)
    at.open().remove_half_made()
    assert aside.exists()
    os.utime(aside, (0, 0))
    at.open().remove_half_made()
    assert not aside.exists()


def test_no_other_file_is_reached(at: At, tmp_path: Path) -> None:
    upload = at.begun(6)
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    data = at.open().data(upload.id)
    data.unlink()
    data.symlink_to(secret)
    with pytest.raises(SourceForbidden, match="not below"):
        open_source(url_of(upload.id), at.settings, uploads=at.open()).probe()
