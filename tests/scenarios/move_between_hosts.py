"""One host of the namespaces test: sync a store in a folder to S3, and print what went over each interface.

Arguments: source folder, endpoint, sync network or "" for none.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from catalog.records import ImageStorage
from catalog.settings import Settings
from storage.imagestore.storage import ImageStore
from storage.registry import open_image_storage
from storage.replicas.sync import ship
from storage.replicas.sync_network import source_address
from tests.services.s3 import BUCKET, KEY, SECRET, S3Server, make_bucket

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INTERFACES = ("management", "sync")


def sent() -> dict[str, int]:
    """Return the bytes that left this host so far, by interface."""
    return {name: int(Path(f"/sys/class/net/{name}/statistics/tx_bytes").read_text()) for name in INTERFACES}


def opened(record: ImageStorage, other: ImageStorage) -> ImageStore:
    """Open one end as the flow does."""
    storage = open_image_storage(
        record, settings=Settings(), credentials=f"{KEY}:{SECRET}" if record.endpoint else None,
        source_address=source_address(record, other),
    )  # fmt: skip
    assert isinstance(storage, ImageStore)
    return storage


def main(folder: str, endpoint: str, network: str) -> None:
    """Sync everything and print the difference."""
    make_bucket(S3Server(endpoint))
    common = {"kind": "imagestore", "reserve_bytes": 0, "created_at": NOW}
    source = ImageStorage.model_validate({"name": "a", "url": Path(folder).as_uri(), **common})
    there = {"name": "b", "url": f"s3://{BUCKET}/{'sync' if network else 'plain'}", "endpoint": endpoint}
    target = ImageStorage.model_validate({**there, "sync_network": network or None, **common})
    before = sent()
    stores = opened(source, target), opened(target, source)
    images = [stored.image for stored in stores[0].images()]
    shipped = ship(*stores, images, f"sync-{'1' if network else '2'}")
    difference = {name: after - before[name] for name, after in sent().items()}
    print(json.dumps({"bytes": sum(done.bytes_sent for done in shipped), **difference}))


if __name__ == "__main__":
    main(*sys.argv[1:])
