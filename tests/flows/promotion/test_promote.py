"""Promotion by a person: what nobody looked at yet is looked at first."""

from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.errors import PromotionRefused
from catalog.records import Promotion, ReplicaStatus
from flows.requests import PromoteImage, SetFamily
from tests.catalog.rules.promotion.builds import proven
from tests.tasks.promotion.test_contents import stored

pytestmark = pytest.mark.prefect


def test_a_build_is_looked_into_before_it_is_the_latest(home: Path, tmp_path: Path) -> None:
    from flows import promote_image, set_family

    set_family(SetFamily(name="os", hygiene="refuse"))
    unclean = stored(tmp_path / "a", "1.0", {"bash": "5.1"}, **{"etc/machine-id": "ab" * 16})
    people = {"etc/passwd": "root:x:0:0:r:/root:/bin/bash\n", "etc/shadow": "root:!:1::::::\n"}
    clean = stored(tmp_path / "b", "1.1", {"bash": "5.2"}, **people)
    with open_catalog() as catalog, catalog.changing("admin") as change:
        for image in (unclean, clean):
            change.save_image(proven(image, image_type="System", cpu_architecture="x86_64"))
    with pytest.raises(PromotionRefused, match="hygiene: /etc/machine-id is set"):
        promote_image(PromoteImage(image_id=unclean.id, family="os"))
    made = promote_image(PromoteImage(image_id=clean.id, family="os", reason="it is clean"))
    assert isinstance(made, Promotion)
    evidence = {one.gate: one.sentence for one in made.evidence}
    assert evidence["hygiene"] == "1 packages of Test GNU/Linux 1 (tiny); nothing that many machines must not share"
    with open_catalog() as catalog:
        assert catalog.latest("os").id == clean.id
        looked = [event.image_id for event in catalog.events() if event.kind == "imagewright.image.inspected"]
    assert looked == [unclean.id, clean.id]
    assert "changes" not in evidence, "there was nothing before it"


def test_a_promotion_says_what_differs_from_the_latest_until_then(home: Path, tmp_path: Path) -> None:
    from flows import promote_image, set_family

    set_family(SetFamily(name="os", hygiene="warn"))
    people = {"etc/passwd": "root:x:0:0:r:/root:/bin/bash\n", "etc/shadow": "root:!:1::::::\n"}
    first = stored(tmp_path / "a", "1.0", {"bash": "5.1", "curl": "7.88"}, **people)
    second = stored(
        tmp_path / "b", "1.1", {"bash": "5.2", "wget": "1.21", "perl": "5.36"}, **people, **{"srv/new": "x"}
    )
    third = stored(tmp_path / "c", "1.2", {"bash": "5.2"}, **people)
    with open_catalog() as catalog, catalog.changing("admin") as change:
        for image in (first, second, third):
            change.save_image(proven(image, image_type="System", cpu_architecture="x86_64"))
    promote_image(PromoteImage(image_id=first.id, family="os"))
    made = promote_image(PromoteImage(image_id=second.id, family="os"))
    assert isinstance(made, Promotion)
    said = {one.gate: one.sentence for one in made.evidence}["changes"]
    assert said.startswith("since 1.0: 4 packages differ (2 new, 1 gone); files: 1 new, 0 gone, "), said
    again = promote_image(PromoteImage(image_id=second.id, family="os"))
    assert again == made
    with open_catalog() as catalog, catalog.changing("admin") as change:
        (replica,) = catalog.replicas(second.id)
        change.save_replica(replica.model_copy(update={"status": ReplicaStatus.DAMAGED}))
    last = promote_image(PromoteImage(image_id=third.id, family="os"))
    assert isinstance(last, Promotion)
    assert {one.gate: one.sentence for one in last.evidence}["changes"].startswith("not compared with 1.1: ")
