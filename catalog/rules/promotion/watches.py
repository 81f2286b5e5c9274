"""Rules for watches, and for the lists of builds that they accept from publishers.

| field | refused |
|---|---|
| url, checksums_url, signature_url | any scheme but http(s); a password in it |
| pattern | a listing without one; a listing's or url's without {version} |
| public_keys | without a list of checksums that they sign |
| signature_url | without public_keys, or without checksums_url; missing with a cosign key, whose signatures are files of their own |
| add | a field that the watch itself decides |

A list is refused as a whole if it is older than the previous one, or less than half as long.
"""

from collections.abc import Sequence

from catalog.errors import InvalidRequest
from catalog.records import Watch, WatchState
from catalog.rules.images.naming import check_name
from catalog.rules.promotion.patterns import check_pattern
from catalog.rules.promotion.versions import is_newer
from catalog.rules.storages.registering import check_no_secret
from catalog.rules.storages.sources import scheme_of

DECIDED = (
    "name",
    "image_path",
    "expected_checksum",
    "image_id",
    "family",
    "version",
    "plan_only",
    "patience_s",
    "boot_check",
)
"""Fields of an add that the watch sets itself."""
SCHEMES = ("http", "https")
SIGSTORE_KEY = "-----BEGIN PUBLIC KEY-----"
ANEW = "set the watch again to take it as it is now"


def check_watch(watch: Watch) -> None:
    """Raise InvalidRequest for the first rule that a watch breaks."""
    check_name(watch.name)
    for field in ("url", "checksums_url", "signature_url"):
        _check_address(field, getattr(watch, field), relative=field != "url")
    if watch.pattern is not None:
        check_pattern(watch.pattern, versioned=watch.kind != "simplestreams")
    elif watch.kind != "url":
        raise InvalidRequest(
            "pattern", None, f"a watch of kind {watch.kind} needs one, such as os-{{version}}-{{arch}}.qcow2"
        )
    _check_signatures(watch)
    for name in watch.add:
        if name in DECIDED:
            raise InvalidRequest("add", name, "leave it out: the watch decides it")


def _check_address(field: str, url: str | None, *, relative: bool) -> None:
    if url is None:
        return
    check_no_secret(field, url)
    scheme = scheme_of(url)
    if scheme not in SCHEMES and not (relative and not scheme and not url.startswith("//")):
        allowed = "an http:// or https:// address" + (", or one relative to the file" if relative else "")
        raise InvalidRequest(field, url, allowed)


def _check_signatures(watch: Watch) -> None:
    signed = watch.checksums_url is not None or watch.kind == "simplestreams"
    if watch.public_keys and not signed:
        raise InvalidRequest(
            "public_keys", len(watch.public_keys), "give checksums_url as well: the keys sign a list of checksums"
        )
    if watch.signature_url is None and any(map(is_sigstore_key, watch.public_keys)):
        raise InvalidRequest(
            "signature_url", None, "give it: what a cosign key signed has its signature in a file of its own"
        )
    if watch.signature_url is not None and (not watch.public_keys or watch.checksums_url is None):
        raise InvalidRequest("signature_url", watch.signature_url, "goes with checksums_url and public_keys")
    if watch.kind == "simplestreams" and watch.checksums_url is not None:
        raise InvalidRequest("checksums_url", watch.checksums_url, "leave it out: a simplestreams index has checksums")


def is_sigstore_key(key: str) -> bool:
    """Tell whether a key is a cosign key; otherwise it is an OpenPGP key."""
    return key.lstrip().startswith(SIGSTORE_KEY)


def why_refused(versions: Sequence[str], state: WatchState) -> str:
    """Return why a list of builds is refused, "" if it is not. versions: of all listed builds."""
    newest = newest_of(versions)
    if state.newest is None:
        return ""
    if newest is None:
        return f"it lists no build any more, where it listed {state.builds}; {ANEW}"
    if is_newer(state.newest, newest):
        return f"it is older than before: its newest build is {newest}, where it was {state.newest}; {ANEW}"
    if 2 * len(versions) < state.builds:
        return f"it lists {len(versions)} builds, where it listed {state.builds}; {ANEW}"
    return ""


def newest_of(versions: Sequence[str]) -> str | None:
    """Return the newest version, None if there is none."""
    newest: str | None = None
    for version in versions:
        newest = version if newest is None or is_newer(version, newest) else newest
    return newest
