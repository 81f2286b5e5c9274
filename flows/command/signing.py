"""Signed lineages: the installation's key, and verification with its public key alone."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from catalog.errors import InvalidRequest
from catalog.log.envelope import MOST_BYTES, new_key, verified

if TYPE_CHECKING:
    from catalog.repository.catalog import Catalog

NAME = "lineage"
MOST_KEY = 1 << 16


def signing_key(catalog: "Catalog") -> str:
    """Return the private key with which all hosts of a catalog sign lineages; it is created on first use."""
    proposed = new_key()
    with catalog.changing(actor="system") as change:
        return change.shared_key(NAME, proposed)


def verify_lineage(
    file: Annotated[str, Parameter(help="The signed lineage; - for standard input.")],
    *,
    public_key: Annotated[str, Parameter(help="File with the public key that `imagewright public-key` prints.")],
    as_json: Annotated[bool, Parameter(name="--json", negative="", help="Print the statement.")] = False,
) -> None:
    """Verify a signed lineage with the public key alone, without a catalog; exit 1 if it differs from what was signed."""
    data = sys.stdin.buffer.read(MOST_BYTES + 1) if file == "-" else _read("file", file, MOST_BYTES)
    statement = verified(data, _read("public_key", public_key, MOST_KEY))
    if as_json:
        print(json.dumps(statement, ensure_ascii=False, indent=2))
        return
    for subject in statement.get("subject", ()):  # type: ignore[attr-defined]
        print(f"{subject['name']}  {json.dumps(subject['digest'], ensure_ascii=False)}")
    print("signed, and as it was signed")


def _read(parameter: str, name: str, most: int) -> bytes:
    try:
        with Path(name).open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise InvalidRequest(parameter, name, f"a file that can be read ({error.strerror})") from error
    if len(data) > most:
        raise InvalidRequest(parameter, name, f"at most {most} bytes")
    return data
