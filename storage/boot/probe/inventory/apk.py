"""Alpine's packages: `/lib/apk/db/installed` (apk-tools, version 2: a letter, a colon and a value a line, an empty line between packages)."""

from storage.boot.probe.filesystems import Files, read

PLACES = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")
MOST_BYTES = 48 << 20
Row = dict[str, str]


def packages(files: Files) -> tuple[list[Row], str] | None:
    """Return what is installed, and what could not be read; None where there is no such database."""
    data = next((one for place in PLACES if (one := read(files, place, MOST_BYTES + 1)) is not None), None)
    if data is None:
        return None
    found: list[Row] = []
    for stanza in data[:MOST_BYTES].decode("utf-8", "replace").split("\n\n"):
        fields = {line[0]: line[2:].strip() for line in stanza.split("\n") if line[1:2] == ":"}
        if fields.get("P") and fields.get("V"):
            row = {"kind": "apk", "name": fields["P"], "version": fields["V"], "arch": fields.get("A", "")}
            found.append({**row, "source": fields["o"]} if fields.get("o", row["name"]) != row["name"] else row)
    return found, f"{PLACES[0]} has more than {MOST_BYTES >> 20} MiB" if len(data) > MOST_BYTES else ""
