"""`imagewright explain-chip`: why a chip is where it is. The command asks the storage itself and needs no server."""

import os
from typing import Annotated

from cyclopts import Parameter

from catalog.errors import InvalidRequest
from catalog.records import ChipExplained
from catalog.rules.images.naming import canonical_id
from catalog.settings import load_settings
from flows.command.output import print_json, print_record

DIGITS = 64


def explain_chip(
    image_storage: Annotated[str, Parameter(help="Name of the image storage.")],
    *,
    digest: Annotated[
        str, Parameter(help="Digest of the piece, 64 hexadecimal digits; or give an image and an offset.")
    ] = "",
    image_id: Annotated[str, Parameter(help="Id of an image that contains the piece.")] = "",
    offset: Annotated[
        int, Parameter(help="Offset in bytes, within the image's stored file, of a byte in the piece.")
    ] = 0,
    as_json: Annotated[bool, Parameter(name="--json", negative="", help="Print exactly one JSON document.")] = False,
) -> None:
    """Say where a piece of an image lies and what keeps it there, for engineers."""
    if bool(digest) == bool(image_id):
        raise InvalidRequest("digest", digest, "either the digest of a piece, or an image_id with an offset")
    explained = _explained(image_storage, _parsed(digest) if digest else None, image_id, offset)
    print_json(explained) if as_json else print_record(explained)


def _explained(image_storage: str, digest: bytes | None, image_id: str, offset: int) -> ChipExplained:
    from flows.server.same_catalog import require_same_catalog
    from storage.abilities import Explaining
    from tasks.runtime.resources import open_image_storage, open_resources

    require_same_catalog(load_settings(), os.environ)
    with open_resources() as (settings, catalog):
        storage = open_image_storage(catalog.image_storage(image_storage), settings)
        if not isinstance(storage, Explaining):
            raise InvalidRequest("image_storage", image_storage, "one of kind imagestore: others keep no chips")
        chip = digest or storage.chip_holding(canonical_id(image_id), offset)
        return ChipExplained(image_storage=image_storage, digest=chip.hex(), sentences=storage.why(chip))


def _parsed(digest: str) -> bytes:
    try:
        found = bytes.fromhex(digest)
    except ValueError as error:
        raise InvalidRequest("digest", digest, f"{DIGITS} hexadecimal digits") from error
    if 2 * len(found) != DIGITS:
        raise InvalidRequest("digest", digest, f"{DIGITS} hexadecimal digits")
    return found
