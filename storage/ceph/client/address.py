"""The address of a Ceph image storage: `rbd://POOL?conf=/etc/ceph/ceph.conf&user=admin`, and its secret."""

import configparser
from urllib.parse import parse_qsl, urlsplit

from catalog.errors import InvalidRequest, StorageRefused
from catalog.records import Record

ALLOWED = "give rbd://POOL?conf=/absolute/path/ceph.conf&user=NAME (defaults /etc/ceph/ceph.conf, admin)"


class CephAddress(Record):
    """The location of a pool and the user that opens it."""

    pool: str
    conf: str = "/etc/ceph/ceph.conf"
    user: str = "admin"


def parse_address(url: str) -> CephAddress:
    """Read an rbd:// URL. Raises InvalidRequest for another scheme, no pool, or a key that is not conf or user."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    given = dict(query)
    pool = parts.netloc
    wrong = (
        parts.scheme != "rbd"
        or not pool
        or any(mark in pool for mark in "@:%")
        or parts.path not in {"", "/"}
        or not given.keys() <= {"conf", "user"}
        or len(given) != len(query)
        or not all(given.values())
        or not given.get("conf", "/").startswith("/")
    )
    if wrong:
        raise InvalidRequest("url", url, ALLOWED)
    return CephAddress(pool=pool, **given)


def key_of(storage: str, user: str, credentials: str) -> str:
    """Return the cephx key in a secret that is a bare key or the text of a keyring.

    Raises StorageRefused if the keyring has no key for the user; the secret never shows in the sentence.
    """
    if "[" not in credentials:
        return credentials.strip()
    keyring = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        keyring.read_string("\n".join(line.strip() for line in credentials.splitlines()))
    except configparser.Error:
        raise StorageRefused(storage, "the secret is neither a keyring nor a bare key") from None
    key = keyring.get(f"client.{user}", "key", fallback=None)
    if key is None:
        raise StorageRefused(storage, f"the keyring has no key for client.{user}")
    return key
