"""From where an image may come, by the kind of storage that keeps it.

| | http https ftp sftp s3 | file | upload |
|---|---|---|---|
| ImageStore | yes | yes | yes |
| Ceph | yes | no: its host keeps objects, not files | yes |
"""

from collections.abc import Mapping, Sequence

from catalog.errors import InvalidRequest
from catalog.records import StorageKind

REMOTE = ("http", "https", "ftp", "sftp", "s3")
SCHEMES: Mapping[StorageKind, tuple[str, ...]] = {
    "imagestore": (*REMOTE, "file", "upload"),
    "ceph": (*REMOTE, "upload"),
}
SOURCE_RULE = (
    "give http(s)://host/path, ftp://[user:password@]host/path, sftp://user[:password]@host/path, "
    "s3://bucket/key or file:///absolute/path"
)


def check_source(url: str, storages: Mapping[str, StorageKind]) -> None:
    """Raise InvalidRequest unless every storage may take an image from this address.

    storages: name → kind. The error shows only the scheme: the rest may hold a password.
    """
    scheme = scheme_of(url)
    if not any(scheme in allowed for allowed in SCHEMES.values()):
        raise InvalidRequest(
            "image_path", f"{scheme}:…" if scheme else "an address without a scheme", SOURCE_RULE
        )
    if scheme == "file" and not url.lower().startswith("file:///"):
        raise InvalidRequest(
            "image_path", "file:…", "a file is named by three slashes and its absolute path: file:///path"
        )
    for name, kind in storages.items():
        if scheme not in SCHEMES[kind]:
            raise InvalidRequest(
                "image_path",
                f"{scheme}:///…",
                f"image storage {name!r} is Ceph, whose hosts keep objects and not files; "
                f"use one of {', '.join(SCHEMES[kind])}, or an ImageStore",
            )


def check_credentials(name: str | None, urls: Sequence[str], *, secret_in_url: bool) -> None:
    """Raise InvalidRequest where a named secret has no host to go to, or competes with what a URL carries.

    name: as in the request. secret_in_url: any of the URLs holds a password or token itself.
    """
    if name is None:
        return
    if scheme_of(urls[0]) not in REMOTE:
        raise InvalidRequest("credentials", name, f"only {', '.join(REMOTE)} take them; leave it empty")
    if secret_in_url:
        raise InvalidRequest(
            "credentials", name, "image_path holds a password already; give it in one place only"
        )


def scheme_of(url: str) -> str:
    """Return the scheme in lower case, empty where there is none."""
    head, colon, _ = url.partition(":")
    return head.lower() if colon and head.isalnum() else ""
