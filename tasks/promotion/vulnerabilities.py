"""The packages of an image beside the advisories of an OSV export that somebody names."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from catalog.errors import InvalidRequest
from catalog.records import Contents, Image, Severity, Vulnerability, VulnerabilityReport
from catalog.rules.promotion.vulnerabilities.advisories import Advisory
from catalog.rules.promotion.vulnerabilities.matching import ECOSYSTEMS, ecosystems_of, found_by, installed
from catalog.rules.promotion.vulnerabilities.severities import RANKS
from catalog.rules.storages.sources import SOURCE_RULE, is_address
from catalog.settings import Settings, load_settings
from storage.sources.masking import mask
from storage.sources.osv.records import Left, advisories
from tasks.runtime.resources import with_secrets
from tasks.runtime.retries import retrying
from tasks.runtime.task import task

MOST = 20_000
"""Vulnerabilities that a report lists."""


@task(task_run_name="compare {image.name} with an OSV export", **retrying())
def compare_with_export(
    image: Image, contents: Contents, osv: str, fail_from: Severity | None = None
) -> VulnerabilityReport:
    """Return what an export says of an image's packages. osv: its address; fail_from: from which severity on what is fixed elsewhere fails.

    Raises InvalidRequest for an image whose packages can't be compared with any export, or not with this one, and as sources do.
    """
    if not is_address(osv):
        raise InvalidRequest("osv", mask(osv), f"{SOURCE_RULE}, or an absolute path of the host")
    named = ecosystems_of(contents.os_release)
    if not named or not contents.packages:
        raise InvalidRequest("image_id", image.id, _why_not(contents))
    report = _compared(contents, named, with_secrets(osv), load_settings())
    if not report.of_image:
        kinds = f"an OSV export with advisories of {named[0]}; of the {report.advisories} in this one that can be read, none is"
        raise InvalidRequest("osv", report.source, kinds)
    return report if fail_from is None else _judged(report, fail_from)


def _judged(report: VulnerabilityReport, fail_from: Severity) -> VulnerabilityReport:
    """Mark what fails: what is as severe as that or worse, and has a fix that somebody who builds the image can take."""
    least = RANKS.index(fail_from)
    found = (
        one.model_copy(update={"fails": one.fixed is not None and RANKS.index(one.severity) <= least})
        for one in report.vulnerabilities
    )
    return report.model_copy(update={"vulnerabilities": tuple(found)})


def _why_not(contents: Contents) -> str:
    allowed = f"an image with packages, of a distribution that is known here: {', '.join(ECOSYSTEMS)}"
    known = f"{contents.os_release.get('ID') or 'of no known one'}, with {len(contents.packages)} packages"
    return "; ".join((f"{allowed}; this is {known}", *contents.unread))


def _compared(contents: Contents, named: tuple[str, ...], url: str, settings: Settings) -> VulnerabilityReport:
    left = Left()
    count, found, packages = Counted(), list[Vulnerability](), installed(contents)
    for advisory in count.standing(advisories(url, settings, left), named):
        try:
            found += found_by(advisory, named, packages)
        except ValueError as error:
            left.note(advisory.id, str(error))
    return VulnerabilityReport(
        image_id=contents.image_id, guest_os=contents.guest_os, source=mask(url), ecosystems=named, advisories=count.read,
        of_image=count.of_image, withdrawn=count.withdrawn, skipped=left.skipped, vulnerabilities=_worst_first(found),
        unread=(*contents.unread, *_beyond(found), *left.told),
    )  # fmt: skip


@dataclass(slots=True)
class Counted:
    """What came of an export."""

    read: int = 0
    of_image: int = 0
    withdrawn: int = 0

    def standing(self, found: Iterable[Advisory], named: Collection[str]) -> Iterator[Advisory]:
        """Yield the advisories about a distribution that were not taken back, and count all. named: what an export calls it."""
        for advisory in found:
            self.read += 1
            if any(one.package is not None and one.package.ecosystem in named for one in advisory.affected or ()):
                self.of_image += 1
                self.withdrawn += advisory.withdrawn is not None
                if advisory.withdrawn is None:
                    yield advisory


def _worst_first(found: list[Vulnerability]) -> tuple[Vulnerability, ...]:
    ordered = sorted(
        found, key=lambda one: (RANKS.index(one.severity), -(one.score or 0), one.id, one.package, one.installed)
    )
    return tuple(ordered[:MOST])


def _beyond(found: list[Vulnerability]) -> tuple[str, ...]:
    return (f"{len(found) - MOST} more vulnerabilities, less severe, are not listed",) if len(found) > MOST else ()
