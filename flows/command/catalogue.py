"""The catalogue as code: read a file to apply, and write the present settings as one."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.errors import InvalidRequest
from flows.requests.catalogue import OPERATIONS_OF, document_of

if TYPE_CHECKING:
    from catalog.repository.reading.reading import Reading

MOST_BYTES = 4 << 20


def read(file: Path) -> dict[str, object]:
    """Return the document that a YAML file holds; `-` is standard input. Raises InvalidRequest."""
    import yaml

    try:
        if str(file) != "-" and file.stat().st_size > MOST_BYTES:
            raise InvalidRequest("file", str(file), f"at most {MOST_BYTES >> 20} MiB")
        text = sys.stdin.read(MOST_BYTES + 1) if str(file) == "-" else file.read_text(encoding="utf-8-sig")
        found = yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise InvalidRequest("file", str(file), f"a YAML file that can be read ({reason})") from error
    if not isinstance(found, dict):
        raise InvalidRequest("file", str(file), "sections such as families, each with a list of entries")
    return found


def document(catalog: "Reading") -> dict[str, object]:
    """Return the present settings as a document."""
    return document_of({section: getattr(catalog, section)() for section in OPERATIONS_OF})


def written(catalog: "Reading") -> str:
    """Return the present settings as a YAML file for `imagewright apply`."""
    import yaml

    text: str = yaml.safe_dump(document(catalog), sort_keys=False, allow_unicode=True, width=120)
    return text
