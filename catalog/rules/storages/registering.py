"""The record of a storage after it is registered, or registered again.

| field | not given, new storage | not given, registered again | cleared |
|---|---|---|---|
| `url` | refused | stays | never |
| `kind` | its default | stays | never |
| all others | their default | stay | their default |

Kind and URL of a storage never change, or its contents would be looked for elsewhere.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar
from urllib.parse import urlsplit

from catalog.errors import InvalidRequest
from catalog.records import Action, ImageStorage, PrimaryStorage

Storage = TypeVar("Storage", ImageStorage, PrimaryStorage)


def kept_fields(asked: Mapping[str, object], given: Collection[str], clear: Collection[str]) -> tuple[str, ...]:
    """Return the fields that stay unchanged on a storage that is already registered.

    asked: all fields, defaults filled in. given: names of the fields that were given. Raises InvalidRequest for a field
    that is both given and cleared.
    """
    for name in clear:
        if name in given and asked[name] is not None:
            raise InvalidRequest("clear", name, f"leave it out where {name} is given")
    return tuple(sorted(name for name in asked if name not in given and name not in clear))


def registered(known: Storage | None, asked: Mapping[str, object], kept: Collection[str]) -> Mapping[str, object]:
    """Return the fields of the storage after registering.

    known: before. Raises InvalidRequest for a new one without URL.
    """
    if known is not None:
        return {**known.model_dump(), **{name: asked[name] for name in asked if name not in kept}}
    if not asked.get("url"):
        raise InvalidRequest("name", asked["name"], "a storage that is registered, or a new one together with its url")
    return asked


def check_directory(url: str) -> None:
    """Refuse a file URL without an absolute path: in file://data/images, data would be a host.

    Raises InvalidRequest.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and (parts.netloc not in {"", "localhost"} or not parts.path.strip("/")):
        raise InvalidRequest("url", url, "file:///dir, three slashes and the directory's whole path")


def check_no_secret(field: str, url: str | None) -> None:
    """Refuse an address with a user or password, as listings, plans and the log show it. Raises InvalidRequest."""
    if url and "@" in urlsplit(url).netloc:
        raise InvalidRequest(field, "an address with a user in it", "no user or password; credentials names a secret")


def require_same_place(known: Storage, after: Storage, shown: str) -> None:
    """Refuse a different kind or URL for a registered name. shown: the known URL, masked. Raises InvalidRequest."""
    if (known.kind, known.url) != (after.kind, after.url):
        raise InvalidRequest("name", after.name, f"a name of its own: it is {known.kind} at {shown}")


def what_is_done(known: Storage | None, record: Storage, changes: Sequence[Action]) -> str:
    """Return the beginning of a plan's summary. changes: those of `changed_fields`."""
    if known is None:
        return f"register {record.name} ({record.kind})"
    if not changes:
        return f"{record.name} ({record.kind}) stays as it is"
    return f"change {len(changes)} field{'s' if len(changes) > 1 else ''} of {record.name} ({record.kind})"


def changed_fields(known: Storage, after: Storage, subject: str) -> tuple[Action, ...]:
    """Return one action for each field that would change."""
    before, then = known.model_dump(mode="json"), after.model_dump(mode="json")
    return tuple(
        Action(verb="change", subject=subject, reason=f"{name} {before[name]!r} → {then[name]!r}")
        for name in then
        if before[name] != then[name]
    )
