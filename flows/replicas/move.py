"""Move an image to another storage: check → begin → copy and read back → switch; the source becomes a leftover."""

from catalog.errors import ImageNotFound, ImagewrightError, StaleLanding
from catalog.records import Image, Lease, Plan
from flows.operation import flow_of
from flows.requests import ChangeImageStorage
from tasks.images.changes import find_image
from tasks.replicas.move import (
    Move,
    begin_move,
    check_move,
    copy_image,
    give_up_move,
    plan_move,
    switch_storage,
)
from tasks.runtime.locks import image_lock
from tasks.runtime.runs.waiting import Waiting


@flow_of(ChangeImageStorage)
def change_image_storage(request: ChangeImageStorage) -> Image | Plan:
    """Move an image to another image storage; it stays usable on the source until the switch.

    First the copy is read back and compared with the catalog's size and digests. A failure at any step leaves the image
    as it was; a new run resumes the copy. Raises InvalidRequest, AccessDenied, IllegalTransition,
    ImageBusy, CapacityExceeded, DigestMismatch, ConversionFailed and the errors of both storages.
    """
    image = find_image(request.image_id, request.account)
    if request.plan_only:
        return plan_move(check_move(image.id, request.source, request.target, request.account))
    return Waiting(request.patience_s).through(lambda: _moved(image, request))


def _moved(image: Image, request: ChangeImageStorage) -> Image:
    with image_lock(image.id) as lease:
        move = check_move(image.id, request.source, request.target, request.account)
        return _move(move, lease) if move.replica else find_image(image.id, request.account)


def _move(move: Move, lease: Lease) -> Image:
    begin_move(move, lease)
    try:
        return _copy_and_switch(move, lease)
    except ImagewrightError as error:
        give_up_move(move, lease, str(error), error.retryable)
        raise
    except Exception as error:
        give_up_move(move, lease, f"internal error: {type(error).__name__}: {error}", resumable=True)
        raise


def _copy_and_switch(move: Move, lease: Lease) -> Image:
    try:
        return switch_storage(move, copy_image(move), lease)
    except (
        StaleLanding,
        ImageNotFound,
    ):  # an earlier attempt of this run copied the image, but its landing was swept since
        return switch_storage(move, copy_image.with_options(refresh_cache=True)(move), lease)
