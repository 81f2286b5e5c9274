"""Images put straight onto a storage and into the catalog, for tests of what is done with them afterwards."""

import hashlib
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path

from catalog import open_catalog
from catalog.records import Image, ImageStatus, ImageStorage, ItemOutcome
from catalog.settings import load_settings
from storage import protocols
from storage.protocols import Digests, SourceInfo
from storage.registry import open_image_storage
from tasks.images.delete import delete
from tasks.images.expunge import expunge
from tasks.runtime import resources
from tasks.runtime.batches import all_done

MIB = 1 << 20


def opened(name: str = "default") -> protocols.ImageStorage:
    """Open an image storage that the catalog knows."""
    with open_catalog() as catalog:
        return open_image_storage(catalog.image_storage(name), settings=load_settings())


def register(name: str, folder: Path) -> ImageStorage:
    """Register one more ImageStore in a folder, of this host where others may work on the catalog, too."""
    settings = load_settings()
    host = settings.host_name if settings.catalog_is_shared else None
    record = ImageStorage(
        name=name, kind="imagestore", url=folder.as_uri(), reserve_bytes=0, host=host, created_at=datetime.now(UTC)
    )
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image_storage(record)
    return record


def landed(storage: protocols.ImageStorage, landing_id: str, data: bytes) -> Digests:
    """Land bytes whole, unpublished."""
    landing = storage.landing(landing_id)
    landing.begin(SourceInfo(url="http://example.org/x", size_bytes=len(data)))
    landing.restore(lambda _: None)
    landing.write(memoryview(data))
    landing.finish()
    landing.close()
    return Digests(size_bytes=len(data), md5=hashlib.md5(data).hexdigest(), sha256=hashlib.sha256(data).hexdigest())


def placed(data: bytes | None = None, storages: tuple[str, ...] = ("default",), **fields: object) -> Image:
    """Put an image with these bytes onto storages and into the catalog, Ready."""
    content = os.urandom(MIB) if data is None else data
    image = blank(**{"status": ImageStatus.READY, "image_storages": storages, **fields})
    with open_catalog() as catalog:
        replicas = []
        for name in storages:
            storage = resources.open_image_storage(catalog.image_storage(name), load_settings())  # with its credentials
            digests = landed(storage, image.id, content)
            image = image.model_copy(
                update={"size_bytes": digests.size_bytes, "md5": digests.md5, "sha256": digests.sha256}
            )
            replicas.append(storage.publish(image.id, image, digests))
        with catalog.changing(actor=image.owner) as change:
            saved = change.save_image(image, event="imagewright.image.ready")
            for replica in replicas:
                change.save_replica(replica)
    return saved


def blank(**fields: object) -> Image:
    """Return the record of a raw volume image."""
    now = datetime.now(UTC)
    given: dict[str, object] = {
        "id": str(uuid.uuid4()), "name": "data", "image_type": "Volume", "media": "DataTemplate", "format": "raw",
        "format_stored": "raw", "virtual_size_bytes": MIB, "created_at": now, "updated_at": now,
    }  # fmt: skip
    return Image.model_validate(given | fields)


def saved(image: Image) -> Image:
    """Put a record into the catalog."""
    with open_catalog() as catalog, catalog.changing(actor=image.owner) as change:
        return change.save_image(image)


def stored_image(image_id: str) -> Image:
    """Return the catalog's record."""
    with open_catalog() as catalog:
        return catalog.image(image_id)


def chip_bytes(home: Path) -> int:
    """Return what the packs of the default storage take."""
    return sum(p.stat().st_size for p in (home / "imagestore" / "packs").rglob("*") if p.is_file())


def delete_one(image: Image, account: str = "admin") -> Image:
    """Put an image into the bin, or raise what keeps it out."""
    (deleted,) = all_done("delete", delete.fn([image.id], account))
    return deleted


def expunge_one(image: Image) -> ItemOutcome:
    """Expunge an image; return what became of it."""
    (item,) = all_done("expunge", expunge.fn([image.id], "admin"))
    return item


def ticks(pid: int) -> str:
    """Return when a process started, as the holder of a lock names it."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
