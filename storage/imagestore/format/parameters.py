"""The parameters of a chip store: written to `store.json` at its creation, fixed for its life."""

import logging
from contextlib import suppress
from uuid import uuid4

from catalog.errors import CapacityExceeded, DigestMismatch, ObjectMissing, StorageRefused
from catalog.records import Record
from storage.imagestore.format.seal import sealed, unsealed
from storage.protocols import ObjectStore

LOG = logging.getLogger(__name__)
NAME = "store.json"
COPY = "store.json.sealed"  # the same bytes, and their seal
OURS = ("index/", "manifests/", "packs/")  # the folders of a store that was used
FORMAT = "imagewright chip store"
FIRST_VERSION = 1
LEANING_VERSION = 2  # of a store with leaning chains; it is 1 until the first of them is written
RECIPES_VERSION = 3  # of a store with images kept as contents and a recipe
MEMBERS_VERSION = 4  # of a store with images whose packed members are kept as contents
VERSION = MEMBERS_VERSION
LARGEST = 64 << 20
DIGEST_BYTES = 32


class Parameters(Record):
    """How bytes are cut, compressed and packed. Sizes in bytes.

    Two stores with equal cutting parameters share chips.
    """

    format: str = FORMAT
    version: int = FIRST_VERSION
    cell_bytes: int = 64 << 10  # aligned all-zero cells become holes
    min_bytes: int = 16 << 10
    average_bytes: int = 64 << 10
    max_bytes: int = 256 << 10
    level: int = 2  # zstd
    pack_bytes: int = 16 << 20  # stored bytes after which a pack is closed
    store_id: str = ""  # made with the store: tells it from another one cached for the same address

    @property
    def plausible(self) -> bool:
        """Whether bytes can be cut, compressed and packed with these."""
        sizes = 0 < self.min_bytes < self.average_bytes < self.max_bytes <= LARGEST and 0 < self.cell_bytes <= LARGEST
        return sizes and self.pack_bytes > 0 and 1 <= self.level <= 22 and self.format == FORMAT


def load_parameters(objects: ObjectStore, wanted: Parameters | None = None) -> Parameters:
    """Read the store's parameters, or create the store with `wanted` if it is new.

    Damaged parameters are read from their copy and rewritten. A store older than these copies gets the defaults, or
    `wanted`: everything in it stays readable, and at worst it shares no chips with later additions.
    Raises StorageRefused for a store of another version, and for a folder of another program.
    """
    try:
        return _parse(objects.get(NAME), objects.location)
    except ObjectMissing:
        if not _holds_chips(objects):
            return _made(objects, wanted)
        reason = "missing"
    except StorageRefused as error:
        if COPY not in _copies(objects) and not (isinstance(error, Damaged) and _holds_chips(objects)):
            raise
        reason = error.reason
    return _restored(objects, wanted, reason)


def keep_copy(objects: ObjectStore) -> str:
    """Rewrite the parameters from their copy if they differ, or an unreadable copy; return what was done."""
    parameters, copy = load_parameters(objects), _copy(objects)
    if copy is None:
        objects.put(COPY, sealed(objects.get(NAME)))
        return f"{COPY} was written"
    if copy != objects.get(NAME) and parameters != _parse(copy, objects.location):
        objects.put(NAME, copy)
        return f"{NAME} was written anew from {COPY}"
    return ""


def raise_version(objects: ObjectStore, version: int) -> None:
    """Make programs that know only older versions refuse the store. Safe to repeat.

    The copy goes first: if it breaks off between the two, nothing of the new version is written yet.
    """
    parameters = load_parameters(objects)
    if parameters.version < version:
        data = parameters.model_copy(update={"version": version}).model_dump_json(indent=1).encode()
        objects.put(COPY, sealed(data))
        objects.put(NAME, data)


def differs(objects: ObjectStore) -> str:
    """Return what is wrong with the parameters or their copy, "" if nothing is."""
    copy = _copy(objects)
    if copy is None and COPY in _copies(objects):
        return f"{COPY} is damaged"
    try:
        return "" if copy is None or objects.get(NAME) == copy else f"{NAME} is not what {COPY} says"
    except ObjectMissing:
        return f"{NAME} is missing"


def _made(objects: ObjectStore, wanted: Parameters | None) -> Parameters:
    """Create the store, copy first: if it breaks off then, the next opening makes the parameters from the copy."""
    data = (wanted or Parameters()).model_copy(update={"store_id": uuid4().hex}).model_dump_json(indent=1).encode()
    if not objects.create(COPY, sealed(data)):  # another caller was first, or broke off
        copy = _copy(objects)
        if copy is None:
            objects.put(COPY, sealed(data))
        data = copy or data
    objects.create(NAME, data)
    return _parse(objects.get(NAME), objects.location)


def _restored(objects: ObjectStore, wanted: Parameters | None, reason: str) -> Parameters:
    copy, where = _copy(objects), f"{objects.location}/{NAME}"
    if copy is None:
        usual = (wanted or Parameters()).model_copy(update={"store_id": uuid4().hex})
        data = usual.model_dump_json(indent=1).encode()
        LOG.warning("%s: %s; it has no copy and is written anew with the usual parameters", where, reason)
    else:
        data = copy
        LOG.warning("%s: %s; it is written anew from its copy", where, reason)
    parameters = _parse(data, objects.location)
    with suppress(CapacityExceeded, StorageRefused):  # a read-only store is still read
        objects.put(NAME, data)
        objects.put(COPY, sealed(data))
    return parameters


def _holds_chips(objects: ObjectStore) -> bool:
    return any(True for prefix in OURS for _ in objects.list(prefix))


def _copies(objects: ObjectStore) -> tuple[str, ...]:
    return tuple(info.name for info in objects.list(COPY))


def _copy(objects: ObjectStore) -> bytes | None:
    """Return the copy, proven; None if there is no readable one."""
    try:
        return bytes(unsealed(f"{objects.location}/{COPY}", objects.get(COPY)))
    except (ObjectMissing, DigestMismatch):
        return None


class Damaged(StorageRefused):
    """Parameters that are unreadable or implausible."""


def _parse(data: bytes, location: str) -> Parameters:
    try:
        parameters = Parameters.model_validate_json(data)
    except ValueError as error:
        raise Damaged(location, f"its {NAME} is damaged: it does not describe a chip store") from error
    if not FIRST_VERSION <= parameters.version <= VERSION:
        raise StorageRefused(location, f"format version {parameters.version}; this program reads 1 to {VERSION}")
    if not parameters.plausible:
        raise Damaged(location, f"its {NAME} is damaged: no chip store has such parameters")
    return parameters
