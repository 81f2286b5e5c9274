"""The order of package versions, as each package manager defines it."""

from collections.abc import Callable, Mapping

from catalog.records import PackageKind
from catalog.rules.promotion.vulnerabilities import apk_versions

LONGEST = 256
"""Most characters of a version to compare: the time grows with the length."""


def compare(kind: PackageKind, a: str, b: str) -> int:
    """Return -1 if a is before b, 0 if they are equal, 1 if a is after b. Raises ValueError for an invalid version."""
    for version in (a, b):
        if not 0 < len(version) <= LONGEST:
            raise ValueError(f"{version[:20]!r} has not 1 to {LONGEST} characters, as a version has")
        if not version.isprintable():  # rpm's comparison would see only the first line
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
    except ValueError as error:  # of the epoch, with Python's message
        raise ValueError(f"{a!r} or {b!r} has an epoch that is no number") from error
    return found


ORDERS: Mapping[PackageKind, Callable[[str, str], int]] = {"deb": _deb, "rpm": _rpm, "apk": apk_versions.compare}
"""Kind of package → comparison. dpkg's and rpm's come from libraries, tested against the programs; apk's is ours."""
