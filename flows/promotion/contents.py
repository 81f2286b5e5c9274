"""Inspect the contents of images, and compare two of them."""

from catalog.records import Comparison, Contents
from catalog.rules.promotion.comparison import compared
from flows.operation import flow_of
from flows.requests import CompareImages, InspectContents
from tasks.images.changes import find_image
from tasks.promotion.contents import inspect, inspect_with_files


@flow_of(InspectContents)
def inspect_contents(request: InspectContents) -> Contents:
    """Inspect an image's contents from its bytes, never by running them. Unreadable parts are named in sentences.

    Raises ImageNotFound, IllegalTransition, InvalidRequest.
    """
    return inspect(find_image(request.image_id, request.account), request.account)


@flow_of(CompareImages)
def compare_images(request: CompareImages) -> Comparison:
    """Return how the contents of two images differ. Raises as `inspect_contents`."""
    a, b = (find_image(one, request.account) for one in (request.a, request.b))
    (inside_a, tree_a), (inside_b, tree_b) = (inspect_with_files(image, request.account) for image in (a, b))
    return compared((a, inside_a), (b, inside_b), tree_a.files, tree_b.files)
