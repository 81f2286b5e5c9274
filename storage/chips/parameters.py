"""The parameters of a chip store: written into `store.json` when it is made, fixed for its life."""

from uuid import uuid4

from catalog.errors import ObjectMissing, StorageRefused
from catalog.records import Record
from storage.protocols import ObjectStore

NAME = "store.json"
VERSION = 1
DIGEST_BYTES = 32


class Parameters(Record):
    """How bytes are cut, compressed and packed. Sizes in bytes.

    Two stores with equal cutting parameters share chips.
    """

    format: str = "imagewright chip store"
    version: int = VERSION
    cell_bytes: int = 64 << 10  # aligned all-zero cells make holes
    min_bytes: int = 16 << 10
    average_bytes: int = 64 << 10
    max_bytes: int = 256 << 10
    level: int = 2  # zstd
    pack_bytes: int = 16 << 20  # stored bytes after which a pack is closed
    store_id: str = (
        ""  # made with the store: what is cached of another one at the same address is not mistaken for it
    )


def load_parameters(objects: ObjectStore, wanted: Parameters | None = None) -> Parameters:
    """Read the store's parameters, or make the store with `wanted` if it is new.

    Raises StorageRefused for a store of another version.
    """
    try:
        data = objects.get(NAME)
    except ObjectMissing:
        made = (wanted or Parameters()).model_copy(update={"store_id": uuid4().hex})
        objects.create(NAME, made.model_dump_json(indent=1).encode())
        data = objects.get(NAME)
    return _parse(data, objects.location)


def _parse(data: bytes, location: str) -> Parameters:
    try:
        parameters = Parameters.model_validate_json(data)
    except ValueError as error:
        raise StorageRefused(location, f"its {NAME} is damaged: it does not describe a chip store") from error
    if parameters.version != VERSION:
        raise StorageRefused(location, f"format version {parameters.version}; this program reads {VERSION}")
    return parameters
