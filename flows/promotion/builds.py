"""Make the add request of a build, from its watch and from the build itself."""

import posixpath
import re
from urllib.parse import unquote, urlsplit

from catalog.records import Build, ImageFormat, Look, Watch
from catalog.rules.images.naming import MAX_NAME
from flows.requests.add import AddSystemImage, AddVolumeImage, add_of
from flows.requests.promotion import with_lists
from tasks.promotion.look import image_id_of, storages_of

ENDINGS: tuple[tuple[str, ImageFormat], ...] = ((".raw", "raw"), (".vmdk", "vmdk"), (".iso", "iso"))
"""Endings of file names by format; any other is taken for qcow2, and the bytes are checked against it."""
PACKED = re.compile(r"\.(?:gz|xz|zst|bz2|lzma|tar|zip)\Z", re.IGNORECASE)


def add_for(watch: Watch, look: Look) -> AddSystemImage | AddVolumeImage:
    """Return the request that adds a look's build. Raises InvalidRequest."""
    build = look.build
    assert build is not None
    given = with_lists(dict(watch.add))
    told = {
        "image_format": format_of(build.url), "account": watch.owner, "image_storages": storages_of(watch),
        **({"cpu_architecture": watch.cpu_architecture} if given.get("image_type") != "Volume" else {}), **given,
    }  # fmt: skip
    return add_of(
        {
            **told,
            "name": name_of(watch, build),
            "image_path": build.url,
            "expected_checksum": build.checksum,
            "family": watch.family,
            "version": build.version,
            "image_id": image_id_of(watch, build),
            "patience_s": 0,
        }
    )


def name_of(watch: Watch, build: Build) -> str:
    """Return the name of a build's image, e.g. debian-12.5-20240211."""
    return re.sub(r"[^A-Za-z0-9 \-_.():+]", "-", f"{watch.family}-{build.version}")[:MAX_NAME].strip()


def format_of(url: str) -> ImageFormat:
    """Return the format that a file's name suggests."""
    name = posixpath.basename(unquote(urlsplit(url).path)).lower()
    while (found := PACKED.search(name)) is not None:
        name = name[: found.start()]
    return next((image_format for ending, image_format in ENDINGS if name.endswith(ending)), "qcow2")
