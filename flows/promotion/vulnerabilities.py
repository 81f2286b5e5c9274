"""Find known vulnerabilities in the packages of an image."""

from catalog.records import VulnerabilityReport
from flows.operation import flow_of
from flows.requests import FindVulnerabilities
from tasks.images.changes import find_image
from tasks.promotion.contents import inspect
from tasks.promotion.vulnerabilities import compare_with_export


@flow_of(FindVulnerabilities)
def find_vulnerabilities(request: FindVulnerabilities) -> VulnerabilityReport:
    """Return the packages of an image that are vulnerable by an OSV export.

    Raises as `inspect_contents`, and as sources do.
    """
    image = find_image(request.image_id, request.account)
    return compare_with_export(image, inspect(image, request.account), request.osv, request.fail_from)
