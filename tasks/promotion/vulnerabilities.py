"""Compare the packages of an image with the advisories of an OSV export."""

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
    """Return an OSV export's advisories on an image's packages.

    osv: address of the export; fail_from: from this severity on, a vulnerability with a published fix fails the image.

    Raises InvalidRequest if the image's packages can't be compared with this export or any, and the sources' errors.
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
    """Mark the failures: at least that severe, and with a fix that the image's builder can install."""
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
        image_id=contents.image_id,
        guest_os=contents.guest_os,
        source=mask(url),
        ecosystems=named,
        advisories=count.read,
        of_image=count.of_image,
        withdrawn=count.withdrawn,
        skipped=left.skipped,
        vulnerabilities=_worst_first(found),
        unread=(*contents.unread, *_beyond(found), *left.told),
    )


@dataclass(slots=True)
class Counted:
    """Counts of an export's advisories: read, about the image's distribution, and withdrawn."""

    read: int = 0
    of_image: int = 0
    withdrawn: int = 0

    def standing(self, found: Iterable[Advisory], named: Collection[str]) -> Iterator[Advisory]:
        """Yield the advisories about a distribution that are not withdrawn, and count all.

        named: the distribution's names in the export.
        """
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
