"""From a publisher's release to the latest of a family: added, proven, promoted; what is bad stays, disabled, with its reason."""

import os
from pathlib import Path

import pytest

from catalog import open_catalog
from catalog.records import Image, Promotion, WatchOutcome, WatchReport
from flows.command.output import failures
from flows.requests import CheckWatches, PromoteImage, RecallImage, SetFamily, SetWatch
from tests.flows.conftest import Site
from tests.services.openpgp import publisher
from tests.tasks.promotion.layouts import Layout, Mirror

pytestmark = pytest.mark.prefect
LAYOUT = Layout("os", "os-{v}-amd64.raw", "SHA256SUMS", {})


def check() -> WatchOutcome:
    from flows import check_watches

    report = check_watches(CheckWatches())
    assert isinstance(report, WatchReport)
    (outcome,) = report.watches
    assert (failures(report) == "") == (outcome.refused is None)
    return outcome


def latest() -> Image:
    with open_catalog() as catalog:
        return catalog.latest("os")


def test_builds_become_the_latest_only_on_evidence(home: Path, site: Site, tmp_path: Path) -> None:
    from flows import promote_image, recall_image, set_family, set_watch

    signer, stranger = publisher(tmp_path / "gpg" / "a"), publisher(tmp_path / "gpg" / "b")
    mirror = Mirror(site.root)
    set_family(SetFamily(name="os", signature="required"))
    watch = SetWatch(
        name="os-amd64", family="os", kind="listing", url=f"{site.url}/os/", pattern="os-{version}-{arch}.raw",
        checksums_url="SHA256SUMS", public_keys=(signer.key,),
        add={"image_type": "Volume", "labels": "origin=upstream"},
    )  # fmt: skip
    set_watch(watch)

    mirror.publish(LAYOUT, "1.9", os.urandom(1 << 20), signer)
    first = check()
    assert (first.new, first.promoted, first.refused) == (1, True, None)
    good = latest()
    assert (good.id, good.build_version, good.labels) == (first.image_id, "1.9", ("origin=upstream",))
    with open_catalog() as catalog:
        (promotion,) = catalog.promotions("os")
    assert {one.gate for one in promotion.evidence} == {"digest", "format", "quality", "signature"}
    assert (promotion.reason, all(one.passed for one in promotion.evidence)) == ("watch os-amd64", True)
    assert check() == WatchOutcome(watch="os-amd64", unchanged=True)

    mirror.publish(LAYOUT, "1.10", os.urandom(1 << 20), stranger)
    assert "another key than those given" in str(check().refused)
    assert latest() == good

    mirror.publish(LAYOUT, "1.11", os.urandom(1 << 20), signer)
    (site.root / "os" / "os-1.11-amd64.raw").write_bytes(os.urandom(1 << 20))  # not what was signed
    bad = check()
    assert "expected checksum" in str(bad.refused)
    assert latest() == good
    with open_catalog() as catalog:
        (kept,) = catalog.images(family="os", build_version="1.11")
    assert (kept.status, kept.state) == ("Error", "Disabled")
    assert "expected checksum" in str(kept.error)
    assert check().unchanged

    set_family(SetFamily(name="os", signature="required", soak_hours=24))
    mirror.publish(LAYOUT, "1.12", os.urandom(1 << 20), signer)
    soaking = check()
    assert (soaking.new, soaking.promoted, soaking.waiting_for) == (1, False, "Ready for 0.0 of 24 hours")
    assert latest() == good
    moved = promote_image(PromoteImage(image_id=str(soaking.image_id), family="os", reason="a hole is closed"))
    assert isinstance(moved, Promotion)
    assert latest().build_version == "1.12"
    assert check().waiting_for is None
    recall_image(RecallImage(image_id=str(soaking.image_id), reason="it does not start"))
    assert latest() == good
    with open_catalog() as catalog:
        assert catalog.verify_events() > 0
        assert catalog.verify_tables() > 0
