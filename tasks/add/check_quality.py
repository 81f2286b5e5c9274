"""Check the measured facts of an image; what fails keeps it out of Ready."""

from collections.abc import Sequence

from catalog.errors import QualityFailed
from catalog.quality import agent
from catalog.quality.facts import ImageFacts
from catalog.records import Image, QualityCheck, QualityReport
from storage.replicas.convert import StoredCopy
from tasks.add.results import Inspected, Landed
from tasks.runtime.resources import open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import run_logger, task


@task(task_run_name="start quality agent", **retrying())
def start_quality_agent() -> None:
    """Have Great Expectations loaded by the time it is needed: it takes seconds, beside the transfer."""
    with open_resources() as (settings, _):
        agent.start_agent(settings)


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
