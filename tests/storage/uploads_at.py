"""Uploads for tests, kept by each kind of place that there is."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from catalog.settings import Settings
from storage.imagestore.objects.s3 import S3Objects
from storage.uploads import Upload, UploadPlace, Uploads
from storage.uploads.bucket import UploadBucket
from storage.uploads.pieces import Pieces
from tests.services.s3 import new_objects

FAR = "far"
KINDS = ("folder", "bucket")


@dataclass
class OneBucket:
    """The bucket of an image storage named far. later: by how much its clock is ahead."""

    objects: S3Objects
    later: timedelta = timedelta()

    def chosen(self, image_storages: Sequence[str]) -> str | None:
        return FAR if FAR in image_storages else None

    def of_upload(self, upload_id: str) -> str | None:
        return FAR if self.objects.size(f"uploads/announced/{upload_id}") is not None else None

    def names(self) -> Sequence[str]:
        return (FAR,)

    def with_uploads(self) -> Sequence[str]:
        return (FAR,)

    def place(self, name: str) -> UploadPlace:
        assert name == FAR
        return UploadBucket(self.objects, lambda: datetime.now(UTC) + self.later)


def announced(length: int = 10, account: str = "admin") -> Upload:
    """Return what somebody announces."""
    return Upload(
        id=str(uuid4()), length=length, filename="a.qcow2", flow="add_volume_image",
        request=json.dumps({"account": account}), created_at=datetime.now(UTC),
    )  # fmt: skip


@dataclass
class At:
    """Uploads of one kind of place. open: as a program does that just started, on this host or another one of the bucket."""

    settings: Settings
    bucket: OneBucket | None = None

    def open(self, **changes: object) -> Uploads:
        return Uploads(self.settings.model_copy(update=changes), self.bucket)

    def begun(self, length: int = 10, account: str = "admin", **changes: object) -> Upload:
        upload = announced(length, account)
        self.open(**changes).create(upload, (FAR,) if self.bucket else ("near",))
        return upload

    def append(self, upload: Upload, data: bytes) -> None:
        with self.open().appending(upload.id) as turn:
            turn.write(data)

    def age(self, upload: Upload, seconds: float) -> None:
        """Let time pass since anything came."""
        if self.bucket:
            self.bucket.later += timedelta(seconds=seconds)
            return
        data = self.open().data(upload.id)
        then = data.stat().st_mtime - seconds
        os.utime(data, (then, then))

    def forget(self, upload: Upload) -> None:
        """Forget what this process saw of an upload, as another host's never did."""
        if self.bucket:
            Pieces(self.bucket.objects, upload.id).forget()


def uploads_at(kind: str, folder: Path) -> At:
    """Return a new place without uploads."""
    settings = Settings(home=folder / "home", upload_idle_s=60, upload_days=1)
    return At(settings, OneBucket(new_objects(folder)()) if kind == "bucket" else None)
