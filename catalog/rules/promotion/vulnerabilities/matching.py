"""Match the packages of an image with an advisory.

| `ID` of os-release | ecosystems in an export | names there |
|---|---|---|
| debian | Debian:12 (unreleased: its codename), Debian | source packages |
| ubuntu | Ubuntu:22.04:LTS, Ubuntu:22.04 | source packages |
| alpine | Alpine:v3.20, Alpine:edge | source packages (origin) |
| almalinux, rocky | AlmaLinux:9, AlmaLinux; Rocky Linux:9, Rocky Linux | source packages or packages |
| opensuse-leap, opensuse-tumbleweed | openSUSE:Leap 15.6, openSUSE:Tumbleweed | source packages or packages |
| mageia, photon, azurelinux | Mageia:9, Photon OS:5.0, Azure Linux:3 | source packages or packages |
| wolfi, chainguard | Wolfi, Chainguard | source packages or packages |

A derived distribution does not match its parent, as its versions differ. Paid offers of a distribution (Ubuntu Pro) are
no ecosystem of an image.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from catalog.records import Contents, Package, PackageKind, Vulnerability
from catalog.rules.promotion.vulnerabilities.advisories import Advisory, Affected, hit
from catalog.rules.promotion.vulnerabilities.package_versions import compare
from catalog.rules.promotion.vulnerabilities.severities import severity_of

MOST_TEXT, MOST_ALIASES = 200, 50
BY_SOURCE = ("debian", "ubuntu", "alpine")
"""Distributions whose advisories name only source packages: a binary package of that name may have another source."""
Installed = Mapping[str, Mapping[tuple[PackageKind, str], Sequence[str]]]
"""Name in an export → installed kind and version → the packages that have them."""


def ecosystems_of(release: Mapping[str, str]) -> tuple[str, ...]:
    """Return an export's ecosystems for the distribution of an os-release; empty if it is unknown."""
    named = ECOSYSTEMS.get(release.get("ID", ""))
    return tuple(named(release)) if named else ()


def installed(contents: Contents) -> Installed:
    """Return the installed packages by the names used in exports."""
    found: dict[str, dict[tuple[PackageKind, str], set[str]]] = {}
    by_source = contents.os_release.get("ID", "") in BY_SOURCE
    for package in contents.packages:
        for name, version in _names(package, by_source=by_source):
            found.setdefault(name, {}).setdefault((package.kind, version), set()).add(package.name)
    return {name: {key: sorted(names) for key, names in versions.items()} for name, versions in found.items()}


def _names(package: Package, *, by_source: bool) -> Iterator[tuple[str, str]]:
    yield package.source or package.name, package.source_version or package.version
    if not by_source and package.source:
        yield package.name, package.version


def found_by(advisory: Advisory, of: Sequence[str], packages: Installed) -> tuple[Vulnerability, ...]:
    """Return an image's vulnerabilities by an advisory, one per version of a package. of: ecosystems of the image.

    Raises ValueError if a version can't be compared.
    """
    found: dict[tuple[str, str], Vulnerability] = {}
    for affected in advisory.affected or ():
        if affected.package is None or affected.package.ecosystem not in of:
            continue
        for key, one in _hits(advisory, affected, packages.get(affected.package.name, {}), affected.package.name):
            if key not in found or found[key].fixed is None:
                found[key] = one
    return tuple(found.values())


def _hits(
    advisory: Advisory, affected: Affected, versions: Mapping[tuple[PackageKind, str], Sequence[str]], name: str
) -> Iterator[tuple[tuple[str, str], Vulnerability]]:
    for (kind, version), packages in versions.items():
        one = hit(affected, version, partial(compare, kind))
        if one is not None:
            severity, score = severity_of((*(affected.severity or ()), *(advisory.severity or ())))
            aliases = dict.fromkeys((*(advisory.aliases or ()), *(advisory.upstream or ())))
            yield (
                (name, version),
                Vulnerability(
                    id=_shown(advisory.id),
                    aliases=tuple(map(_shown, aliases))[:MOST_ALIASES],
                    package=_shown(name),
                    packages=tuple(packages),
                    installed=version,
                    fixed=_shown(one.fixed) if one.fixed else None,
                    severity=severity,
                    score=score,
                    summary=_shown(advisory.summary or ""),
                ),
            )


def _shown(text: str) -> str:
    """Return foreign text with unprintable characters replaced by spaces, cut to MOST_TEXT."""
    return "".join(c if c.isprintable() else " " for c in text[:MOST_TEXT])


Named = Callable[[Mapping[str, str]], Iterator[str]]


def _suffixed(name: str, form: str, *, also_alone: bool = False) -> Named:
    """Return a function that makes `name:release` of an os-release.

    release: the start of VERSION_ID that `form` matches.
    """

    def named(release: Mapping[str, str]) -> Iterator[str]:
        known = re.match(form, release.get("VERSION_ID", ""), re.ASCII)
        if known is not None:
            yield f"{name}:{known[0]}"
            if also_alone:
                yield name

    return named


def _debian(release: Mapping[str, str]) -> Iterator[str]:
    yield f"Debian:{release.get('VERSION_ID') or release.get('VERSION_CODENAME') or 'sid'}"
    yield "Debian"


def _ubuntu(release: Mapping[str, str]) -> Iterator[str]:
    for name in _suffixed("Ubuntu", r"\d+\.\d+")(release):
        yield f"{name}:LTS"
        yield name


def _alpine(release: Mapping[str, str]) -> Iterator[str]:
    version = release.get("VERSION_ID", "")
    known = re.match(r"\d+\.\d+", version, re.ASCII)
    yield f"Alpine:v{known[0]}" if known and "_" not in version else "Alpine:edge"  # 3.23.0_alpha20251016 is no release


ECOSYSTEMS: Mapping[str, Named] = {
    "debian": _debian,
    "ubuntu": _ubuntu,
    "alpine": _alpine,
    "almalinux": _suffixed("AlmaLinux", r"\d+", also_alone=True),
    "rocky": _suffixed("Rocky Linux", r"\d+", also_alone=True),
    "opensuse-leap": lambda release: iter((f"openSUSE:Leap {release.get('VERSION_ID', '')}",)),
    "opensuse-tumbleweed": lambda _: iter(("openSUSE:Tumbleweed",)),
    "mageia": _suffixed("Mageia", r"\d+"),
    "photon": _suffixed("Photon OS", r"\d+\.\d+"),
    "azurelinux": _suffixed("Azure Linux", r"\d+"),
    "wolfi": lambda _: iter(("Wolfi",)),
    "chainguard": lambda _: iter(("Chainguard",)),
}
"""`ID` of an os-release → ecosystems in exports, the most specific first."""
