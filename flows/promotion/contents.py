"""What is inside images, and how two of them differ."""

from catalog.records import Comparison, Contents
from catalog.rules.promotion.comparison import compared
from flows.operation import flow_of
from flows.requests import CompareImages, InspectContents
from tasks.images.changes import find_image
from tasks.promotion.contents import inspect, list_files


@flow_of(InspectContents)
def inspect_contents(request: InspectContents) -> Contents:
    """Read what is inside an image from its bytes, never by running them. What can't be read is said in a sentence.

    Raises ImageNotFound, IllegalTransition, InvalidRequest.
    """
    return inspect(find_image(request.image_id, request.account), request.account)


@flow_of(CompareImages)
def compare_images(request: CompareImages) -> Comparison:
    """Say how two images differ inside. Raises as `inspect_contents`."""
    a, b = (find_image(one, request.account) for one in (request.a, request.b))
    inside_a, inside_b = (inspect(image, request.account) for image in (a, b))
    return compared((a, inside_a), (b, inside_b), list_files(a).files, list_files(b).files)
