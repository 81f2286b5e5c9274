"""Judge the bytes that landed: safe, of the declared format, able to boot as declared."""

from prefect import get_run_logger, task

from catalog.records import Image
from catalog.rules.contradictions import contradictions
from storage.formats.boot import boot_facts
from storage.formats.inspect import check_verdict
from tasks.landed import Inspected, Landed
from tasks.resources import open_image_storage, open_resources


@task(task_run_name="inspect {image.name}")
def inspect_image(image: Image, landed: Landed) -> Inspected:
    """Return the boot facts and how they agree with the form. Raises UnsafeImage, FormatMismatch."""
    check_verdict(landed.verdict, image.format)
    place = landed.held[0]
    with open_resources() as (settings, catalog):
        storage = open_image_storage(catalog.image_storage(place.image_storage), settings)
        landing = storage.landing(place.landing_id)
        facts = boot_facts(landing.open(), landed.verdict.format)
        landing.close()
    errors, warnings = contradictions(image, facts)
    for sentence in (*errors, *warnings):
        get_run_logger().warning(sentence)
    return Inspected(boot=facts, errors=errors, warnings=warnings)
