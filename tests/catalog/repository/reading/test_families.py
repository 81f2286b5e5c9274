"""Families in the catalog: what is the latest, and by what images are found, on each kind of database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog import errors
from catalog.records import Image
from catalog.repository.catalog import Catalog
from tests.catalog.rules.promotion.builds import a_build, a_family
from tests.catalog.samples import opened, saved
from tests.services.postgresql import STORES, url_of


@pytest.fixture(params=STORES)
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Catalog]:
    with opened(url_of(request.param, tmp_path)) as catalog:
        yield catalog


def promoted(catalog: Catalog, *images: Image) -> None:
    with catalog.changing("admin") as change:
        for image in images:
            change.promote("debian", image, "newer")


def changed(catalog: Catalog, image: Image, **fields: object) -> None:
    with catalog.changing("admin") as change:
        known = change.image(image.id)
        change.save_image(Image.model_validate({**known.model_dump(), **fields}))


def test_latest_is_what_was_promoted_not_what_is_newest(catalog: Catalog) -> None:
    first, second, third = saved(catalog, a_build("1.0"), a_build("1.1"), a_build("1.2"))
    newest = catalog.latest("debian").id
    assert newest in {first.id, second.id, third.id}  # as ever, while nothing was promoted
    promoted(catalog, first, second)
    assert catalog.latest("debian").id == second.id
    assert [(p.number, p.previous, p.build_version) for p in catalog.promotions("debian")] == [
        (1, None, "1.0"), (2, first.id, "1.1"),
    ]  # fmt: skip
    assert catalog.verify_events() > 0
    assert catalog.verify_tables() > 0


@pytest.mark.parametrize(
    "fields",
    [{"status": "Deleted"}, {"state": "Disabled"}, {"status": "Error"}, {"deprecated": True}, {"recalled": "x"}],
)
def test_latest_never_is_one_that_can_not_be_used(catalog: Catalog, fields: dict[str, object]) -> None:
    first, second = saved(catalog, a_build("1.0"), a_build("1.1"))
    promoted(catalog, first, second)
    changed(catalog, second, **fields)
    assert catalog.latest("debian").id == first.id
    changed(catalog, first, **fields)
    with pytest.raises(errors.ImageNotFound, match="of family 'debian' for x86_64"):
        catalog.latest("debian")


def test_architectures_have_each_their_latest_and_volume_images_fit_all(catalog: Catalog) -> None:
    x86, arm = saved(catalog, a_build("1"), a_build("2", cpu_architecture="aarch64"))
    promoted(catalog, x86, arm)
    assert [catalog.latest("debian", a).id for a in ("x86_64", "aarch64")] == [x86.id, arm.id]
    with pytest.raises(errors.ImageNotFound):
        catalog.latest("debian", "loongarch64")
    (data,) = saved(catalog, a_build("3", cpu_architecture=None, image_type="Volume"))
    promoted(catalog, data)
    assert catalog.latest("debian", "loongarch64").id == data.id


def test_latest_is_not_seen_by_whom_it_is_not_shared_with(catalog: Catalog) -> None:
    (mine,) = saved(catalog, a_build("1", owner="bob"))
    promoted(catalog, mine)
    assert catalog.latest("debian", account="bob").id == mine.id
    with pytest.raises(errors.ImageNotFound):
        catalog.latest("debian", account="eve")


def test_a_change_that_fails_leaves_the_latest_as_it_was(catalog: Catalog) -> None:
    first, second = saved(catalog, a_build("1.0"), a_build("1.1"))
    promoted(catalog, first)

    def killed() -> None:
        with catalog.changing("admin") as change:
            change.promote("debian", second, "newer")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        killed()
    assert catalog.latest("debian").id == first.id
    assert len(list(catalog.promotions("debian"))) == 1


def test_a_family_that_is_deleted_forgets_what_it_promoted(catalog: Catalog) -> None:
    (image,) = saved(catalog, a_build("1.0"))
    with catalog.changing("admin") as change:
        change.save_family(a_family())
    promoted(catalog, image)
    with catalog.changing("admin") as change:
        change.remove_family("debian")
    assert [list(catalog.families()), list(catalog.channels()), list(catalog.promotions("debian"))] == [[], [], []]
    assert catalog.image(image.id).family == "debian"
    with pytest.raises(errors.FamilyNotFound):
        catalog.family("debian")


def test_images_are_found_by_label_version_and_architecture(catalog: Catalog) -> None:
    a = a_build("1.0", labels=("team=web", "tier=gold"), os="Debian 12")
    b = a_build("1.1", labels=("team=web",), cpu_architecture="aarch64")
    c = a_build("1.2", labels=("team=db",), owner="bob")
    saved(catalog, a, b, c)

    def found(**wanted: object) -> set[str]:
        return {image.id for image in catalog.images(**wanted)}  # type: ignore[arg-type]

    assert found(labels=("team=web",)) == {a.id, b.id}
    assert found(labels=("team=web", "tier=gold")) == {a.id}
    assert found(labels=("team=web",), cpu_architecture="aarch64") == {b.id}
    assert found(labels=("team=db",), account="bob") == {c.id}
    assert found(labels=("team=web",), account="bob") == set()
    assert found(labels=("team=db",), name_pattern="debian-1.2") == {c.id}
    assert found(labels=("team=we",)) == set()
    assert found(build_version="1.1") == {b.id}
    assert found(os="Debian 12", status="Ready") == {a.id}
    changed(catalog, a, labels=("team=ops",))
    assert (found(labels=("team=web",)), found(labels=("team=ops",))) == ({b.id}, {a.id})
    with catalog.changing("admin") as change:
        change.remove_image(b.id)
    assert found(labels=("team=web",)) == set()


def test_what_was_made_of_an_image_is_found_whoever_its_parent_is(catalog: Catalog) -> None:
    root = a_build("1")
    child = a_build("2", parent=root.id)
    grandchild = a_build("3", parent=child.id)
    circle = root.model_copy(update={"parent": grandchild.id})
    saved(catalog, circle, child, grandchild, a_build("4"))
    assert [image.id for image in catalog.made_of(root.id)] == [child.id, grandchild.id]
    assert list(catalog.made_of("nobody")) == []
