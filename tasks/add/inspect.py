"""Judge the bytes that landed: safe, of the declared format, able to boot as declared."""

from catalog.records import Image
from catalog.rules.images.contradictions import boot_findings
from storage.boot.facts import boot_facts
from storage.formats.inspector import check_verdict
from storage.replicas.source import landing_reader
from tasks.add.results import Inspected, Landed
from tasks.runtime.resources import open_image_storage, open_resources
from tasks.runtime.retries import retrying
from tasks.runtime.task import run_logger, task


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
