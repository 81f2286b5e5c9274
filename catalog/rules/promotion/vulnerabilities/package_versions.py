"""The order of versions of packages, as each kind's own program has it."""

from collections.abc import Callable, Mapping

from catalog.records import PackageKind
from catalog.rules.promotion.vulnerabilities import apk_versions

LONGEST = 256
"""Characters of a version that is compared: comparing takes time by its length."""


def compare(kind: PackageKind, a: str, b: str) -> int:
    """Return -1 where a is before b, 0 where they are equal, 1 where it is after. Raises ValueError for what is no version of the kind."""
    for version in (a, b):
        if not 0 < len(version) <= LONGEST:
            raise ValueError(f"{version[:20]!r} has not 1 to {LONGEST} characters, as a version has")
        if not version.isprintable():  # rpm's order would be looked for in its first line alone, and not be found
            raise ValueError(f"{version[:20]!r} has a character that no version has")
    return ORDERS[kind](a, b)


def _deb(a: str, b: str) -> int:
    from univers import debian

    found: int = debian.compare_versions(a, b)  # type: ignore[no-untyped-call]
    return found


def _rpm(a: str, b: str) -> int:
    from univers import rpm

    try:
        found: int = rpm.compare_rpm_versions(a, b)
    except ValueError as error:  # of the epoch, in words of Python's
        raise ValueError(f"{a!r} or {b!r} has an epoch that is no number") from error
    return found


ORDERS: Mapping[PackageKind, Callable[[str, str], int]] = {"deb": _deb, "rpm": _rpm, "apk": apk_versions.compare}
"""Every kind of package: dpkg's order and rpm's are a library's, which tests hold against the programs; apk's is ours."""
