"""What registering an add refuses before anything is recorded of it."""

from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import IllegalTransition, InvalidRequest
from catalog.records import ImageStatus, ImageStorage
from tasks.register import register
from tests.catalog.samples import START, an_image


def test_a_file_of_the_host_is_refused_where_one_of_the_storages_is_ceph(home: Path) -> None:
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image_storage(
            ImageStorage(name="pool", kind="ceph", url="rbd://images", created_at=START)
        )
    for source in ("file:///srv/x.raw", "http://h/x.raw file:///srv/x.raw"):
        with pytest.raises(InvalidRequest, match="'pool' is Ceph, whose hosts keep objects"):
            register.fn(an_image(source=source, image_storages=("default", "pool")))
    with open_catalog() as catalog:
        assert not list(catalog.images())
        assert not list(catalog.reservations())


def test_an_image_that_is_being_moved_is_not_added_again(home: Path) -> None:
    draft = an_image(source="http://h/x.raw", image_storages=("default",))
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image(draft.model_copy(update={"status": ImageStatus.MIGRATING}))
    with pytest.raises(IllegalTransition, match="Migrating"):
        register.fn(draft)


def test_an_id_that_is_another_accounts_tells_nothing_of_its_image(home: Path) -> None:
    hidden = an_image(name="secret plans", owner="bob", source="http://h/x.raw", image_storages=("default",))
    register.fn(hidden)
    for asked in ({"owner": "eve"}, {"owner": "eve", "name": "other", "source": "http://h/y.raw"}):
        with pytest.raises(InvalidRequest) as caught:
            register.fn(hidden.model_copy(update=asked))
        assert str(caught.value) == (
            f"image_id: '{hidden.id}' is not allowed; an id of its own: this one is taken"
        )


def test_an_image_that_was_edited_while_it_arrived_is_taken_up_by_the_same_request(home: Path) -> None:
    draft = an_image(source="http://h/x.raw", image_storages=("default",))
    register.fn(draft)
    with open_catalog() as catalog, catalog.changing(actor="admin") as change:
        change.save_image(change.image(draft.id).model_copy(update={"name": "edited", "description": "too"}))
    assert register.fn(draft).name == "edited"
    with pytest.raises(InvalidRequest, match=r"added with source 'http://h/x.raw', not 'http://h/y.raw'"):
        register.fn(draft.model_copy(update={"source": "http://h/y.raw"}))
