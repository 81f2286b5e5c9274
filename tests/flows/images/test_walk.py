"""Every managing operation, done to an image in every status: what really happens is what the table says."""

import os
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from catalog import open_catalog
from catalog.errors import IllegalTransition, ImageNotFound
from catalog.records import Image, ImageStatus, Plan
from catalog.rules.images.transitions import TABLE
from tasks.images.delete import delete, plan_delete, plan_recover, recover
from tasks.images.delete_export import delete_export, plan_delete_export
from tasks.images.edit import edit, plan_edit
from tasks.images.enable import plan_state, set_state
from tasks.images.export import export, plan_export
from tasks.images.expunge import expunge, plan_expunge
from tasks.images.share import plan_share, share
from tasks.runtime.batches import Outcomes, all_done
from tasks.volumes.volume import create_volume, plan_volume
from tests.flows.managed import MIB, placed, stored_image
from tests.services.process import find

pytestmark = pytest.mark.usefixtures("home")


def _one(outcomes: Outcomes[Any]) -> None:
    all_done("walk", outcomes)


OPERATIONS: dict[str, Callable[[str], object]] = {
    "edit": lambda i: edit.fn(i, "admin", {"name": "renamed"}),
    "protect": lambda i: edit.fn(i, "admin", {"protected": True}),
    "enable": lambda i: _one(set_state.fn([i], "admin", "Enabled")),
    "disable": lambda i: _one(set_state.fn([i], "admin", "Disabled")),
    "set sharing mode": lambda i: share.fn(i, "admin", "global", (), ()),
    "export": lambda i: export.fn(i, "admin", None, None),
    "delete exported image": lambda i: delete_export.fn(i, "admin", None),
    "create volume": lambda i: create_volume.fn("volume", i, "default", "disk", None, "admin"),
    "delete": lambda i: _one(delete.fn([i], "admin")),
    "recover": lambda i: _one(recover.fn([i], "admin")),
    "expunge": lambda i: _one(expunge.fn([i], "admin")),
}

PLANS: dict[str, Callable[[str], object]] = {
    "edit": lambda i: plan_edit.fn(i, "admin", {"name": "renamed"}),
    "protect": lambda i: plan_edit.fn(i, "admin", {"protected": True}),
    "enable": lambda i: plan_state.fn([i], "admin", "Enabled"),
    "disable": lambda i: plan_state.fn([i], "admin", "Disabled"),
    "set sharing mode": lambda i: plan_share.fn(i, "admin", "global", (), ()),
    "export": lambda i: plan_export.fn(i, "admin", None, None),
    "delete exported image": lambda i: plan_delete_export.fn(i, "admin", None),
    "create volume": lambda i: plan_volume.fn(i, "default", "disk", None, "admin"),
    "delete": lambda i: plan_delete.fn([i], "admin"),
    "recover": lambda i: plan_recover.fn([i], "admin"),
    "expunge": lambda i: plan_expunge.fn([i], "admin"),
}


def in_status(status: ImageStatus) -> Image:
    image = placed(os.urandom(MIB))
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        return change.save_image(image.model_copy(update={"status": status}))


def status_of(image: Image) -> ImageStatus | None:
    try:
        return stored_image(image.id).status
    except ImageNotFound:
        return None


@pytest.mark.parametrize(("status", "operation"), list(product(ImageStatus, OPERATIONS)))
def test_an_operation_does_what_the_table_says(status: ImageStatus, operation: str) -> None:
    if operation == "create volume":
        find("qemu-img", "qemu-utils")
    image = in_status(status)
    if status in TABLE[operation]:
        OPERATIONS[operation](image.id)
        assert status_of(image) is TABLE[operation][status]
        return
    with open_catalog() as catalog:
        before = catalog.snapshot().sequence
    with pytest.raises(IllegalTransition) as caught:
        OPERATIONS[operation](image.id)
    assert (caught.value.status, caught.value.operation) == (status, operation)
    assert stored_image(image.id) == image
    with open_catalog() as catalog:
        assert catalog.snapshot().sequence == before


@pytest.mark.parametrize(("status", "operation"), list(product(ImageStatus, PLANS)))
def test_a_plan_refuses_what_the_operation_refuses_and_changes_nothing(status: ImageStatus, operation: str) -> None:
    image = in_status(status)
    with open_catalog() as catalog:
        before = catalog.snapshot().sequence
    if status in TABLE[operation]:
        assert isinstance(PLANS[operation](image.id), Plan)
    else:
        with pytest.raises(IllegalTransition) as caught:
            PLANS[operation](image.id)
        assert (caught.value.status, caught.value.operation) == (status, operation)
    assert stored_image(image.id) == image
    with open_catalog() as catalog:
        assert catalog.snapshot().sequence == before
