"""Prove what landed: safe, of the declared format, able to boot as declared, in the format that each storage keeps, its facts in order.

Nothing else is published.
"""

from collections.abc import Sequence

from catalog.errors import QualityFailed
from catalog.quality import agent
from catalog.quality.facts import ImageFacts
from catalog.records import Image, QualityCheck, QualityReport
from catalog.rules.images.contradictions import boot_findings
from storage.boot.facts import boot_facts
from storage.formats.inspector import check_verdict
from storage.replicas.convert import StoredCopy, convert_landing
from storage.replicas.source import landing_reader
from tasks.add.results import Inspected, Landed, LandedOn
from tasks.runtime.resources import open_image_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.runs.notify import key_of
from tasks.runtime.runs.progress import progress
from tasks.runtime.task import run_logger, task


@task(task_run_name="start quality agent", **retrying())
def start_quality_agent() -> None:
    """Have Great Expectations loaded by the time it is needed: it takes seconds, beside the transfer."""
    with open_resources() as (settings, _):
        agent.start_agent(settings)


@task(task_run_name="inspect {image.name}", **retrying())
def inspect_image(image: Image, landed: Landed) -> Inspected:
    """Return the boot facts and how they agree with the form. Raises UnsafeImage, FormatMismatch."""
    check_verdict(landed.verdict, image.format)
    place = landed.held[0]
    with open_resources() as (settings, catalog):
        storage = open_image_storage(catalog.image_storage(place.image_storage), settings)
        with landing_reader(storage, place.landing_id) as reader:
            facts = boot_facts(reader, landed.verdict.format)
    findings = boot_findings(image, facts)
    for finding in findings:
        run_logger().warning(finding.described)
    return Inspected(boot=facts, findings=findings)


@task(task_run_name="convert {image.name} for {place.image_storage}", **retrying())
def convert(image: Image, landed: Landed, place: LandedOn) -> StoredCopy:
    """Return the file that the storage will keep: the landing itself where it keeps the format that was added.

    The landing that a file was converted from is kept until the image is published. Raises ConversionFailed, MissingProgram.
    """
    with open_resources() as (settings, catalog):
        storage = open_image_storage(catalog.image_storage(place.image_storage), settings)
        wanted = storage.stored_format(image.format)
        if wanted == image.format:
            return StoredCopy(
                image_storage=storage.name,
                landing_id=place.landing_id,
                format=wanted,
                size_bytes=landed.digests.size_bytes,
                digests=landed.digests,
                stored_bytes=place.stored_bytes,
            )
        with progress(key_of("convert", image.id, storage.name), f"convert {image.name} to {wanted}") as meter:
            return convert_landing(storage, place.landing_id, image.format, settings, meter)


@task(task_run_name="check quality of {image.name}", **retrying())
def check_quality(image: Image, landed: Landed, inspected: Inspected, kept: Sequence[StoredCopy]) -> QualityReport:
    """Run the image suite once per storage and return the checks of all. Raises QualityFailed."""
    reports: list[QualityReport] = []
    with open_resources() as (settings, _):
        for place in kept:
            facts = facts_of(image, landed, inspected, place, settings.max_virtual_size)
            reports.append(agent.check_image(facts, settings))
    report = reports[0].model_copy(update={"checks": _merged(reports), "success": all(r.success for r in reports)})
    run_logger().info("%s of %s quality checks passed", sum(c.success for c in report.checks), len(report.checks))
    if not report.success:
        raise QualityFailed(f"image {image.name!r}", report.failed)
    return report


def facts_of(image: Image, landed: Landed, inspected: Inspected, kept: StoredCopy, max_virtual_size: int) -> ImageFacts:
    """Return one row for the suite: what was declared and announced beside what was measured and kept."""
    size = landed.digests.size_bytes
    stored = kept.digests.sha256 if kept.digests else ""  # not measured yet
    return ImageFacts(
        image_id=image.id,
        name=image.name,
        declared_format=image.format,
        detected_format=landed.verdict.format,
        stored_format=kept.format,
        size_bytes=size,
        announced_size_bytes=size if landed.source.size_bytes is None else landed.source.size_bytes,
        stored_size_bytes=kept.size_bytes,
        expected_stored_size_bytes=kept.size_bytes if kept.converted else size,
        virtual_size_bytes=landed.verdict.virtual_size_bytes,
        max_virtual_size_bytes=max_virtual_size,
        md5=landed.digests.md5,
        sha256=landed.digests.sha256,
        stored_sha256=stored,
        expected_stored_sha256=stored if kept.converted else landed.digests.sha256,
        expected_checksum=landed.expected or landed.checksum,
        measured_checksum=landed.checksum,
        refusals={
            f.rule: f.described for f in (*landed.verdict.findings, *inspected.findings) if f.severity == "error"
        },
    )


def _merged(reports: Sequence[QualityReport]) -> tuple[QualityCheck, ...]:
    """Return each check once: the one that failed where any did."""
    by_name: dict[str, QualityCheck] = {}
    for check in (c for report in reports for c in report.checks):
        if check.name not in by_name or not check.success:
            by_name[check.name] = check
    return tuple(by_name.values())
