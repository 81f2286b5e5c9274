"""What every catalog promises of lists: found by words, sorted by a column, and right at once after each write."""

from datetime import timedelta
from typing import Any

from catalog.records import BootFacts, ImageStatus
from catalog.repository.catalog import Catalog
from tests.catalog.samples import START, a_replica, an_image, saved


def test_plain_words_find_in_any_case_what_has_all_of_them(catalog: Catalog) -> None:
    boot = BootFacts(guest_os="Debian GNU/Linux 12 (bookworm)")
    first, second = saved(
        catalog,
        an_image(name="Élan web", description="for the SHOP", labels=("team=Web",), family="golden", md5="ab" * 16),
        an_image(name="系统 镜像", os="Rocky Linux 9", boot=boot, sharing_mode="global", owner="bob"),
    )
    for words, found in {
        ("élan",): {first.id}, ("ÉLAN", "shop"): {first.id}, ("shop", "rocky"): set(), ("bookw",): {second.id},
        ("镜像",): {second.id}, ("TEAM=web",): {first.id}, ("abab",): {first.id}, (second.id[:8],): {second.id},
        ("%",): set(), ("linux",): {second.id}, (): {first.id, second.id},
    }.items():  # fmt: skip
        assert {image.id for image in catalog.images_in_order(words)} == found, words
    assert [i.id for i in catalog.images_in_order(("linux",), account="eve")] == [second.id]
    assert not catalog.images_in_order(("shop",), account="eve")
    (renamed,) = saved(catalog, first.model_copy(update={"name": "other"}))
    assert not catalog.images_in_order(("élan",))
    assert catalog.images_in_order(("other",)) == [renamed]


def test_all_images_are_sorted_by_a_column_as_people_count(catalog: Catalog) -> None:
    images = saved(
        catalog,
        *(
            an_image(
                name=name,
                virtual_size_bytes=size,
                status=status,
                labels=labels,
                cpu_architecture=arch,
                created_at=START + timedelta(hours=len(name) if name != "b1" else 9),
            )
            for name, size, status, labels, arch in (
                ("a10", 5 << 40, ImageStatus.READY, ("x=1",), "x86_64"),
                ("A9", None, ImageStatus.ERROR, (), "aarch64"),
                ("b1", 0, ImageStatus.READY, ("x=1", "y=2"), None),
            )
        ),
    )
    with catalog.changing(actor="admin") as change:
        change.save_replica(a_replica(images[2]))

    def names(**wanted: Any) -> list[str]:
        return [image.name for image in catalog.images_in_order(**wanted)]

    assert names(order="name", down=False) == ["A9", "a10", "b1"]
    assert names(order="name", offset=1, count=1) == ["a10"]
    assert names(order="virtual_size_bytes") == ["a10", "b1", "A9"]
    assert names(order="virtual_size_bytes", down=False) == ["b1", "a10", "A9"]
    assert names(order="status", down=False) == ["A9", "b1", "a10"]
    assert names(order="created_at", down=False) == ["A9", "a10", "b1"]
    assert names(order="system", down=False)[0] == "A9"
    assert names(labels=("x=1",)) == ["b1", "a10"]
    assert names(labels=("x=1", "y=2")) == ["b1"]
    assert names(image_storage=a_replica(images[2]).image_storage) == ["b1"]
    assert names(status="Error") == ["A9"]
    assert names(name_pattern="a*") == ["a10"]
    assert names(family="nothing") == []
    assert names(cpu_architecture="x86_64") == ["a10"]
    assert set(names(order="image_storages")) == {"A9", "a10", "b1"}


def test_lists_in_order_follow_each_write_at_once_also_inside_of_it(catalog: Catalog) -> None:
    (image,) = saved(catalog, an_image(name="web", owner="alice", sharing_mode="global", labels=("a=1",)))
    assert catalog.images_in_order(account="eve") == [image]
    with catalog.changing(actor="alice") as change:
        closed = {"sharing_mode": "specified", "shared_accounts": ("bob",), "name": "shop", "labels": ("b=2",)}
        after = change.save_image(image.model_copy(update=closed))
        new = change.save_image(an_image(name="web 2", owner="eve"))
        assert change.images_in_order(account="eve") == change.images_in_order(("web",)) == [new]
        assert change.images_in_order(account="bob") == change.images_in_order(labels=("b=2",)) == [after]
        assert catalog.images_in_order(account="eve") == [image]  # others see it once it is committed
    assert catalog.images_in_order(account="eve") == catalog.images_in_order(("web",)) == [new]
    assert catalog.images_in_order(account="bob") == catalog.images_in_order(labels=("b=2",)) == [after]
    assert catalog.images_in_order(labels=("a=1",)) == []
    with catalog.changing(actor="admin") as change:
        change.remove_image(image.id)
    assert catalog.images_in_order() == [new]
