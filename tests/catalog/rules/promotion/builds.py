"""Images that passed the gates of a family, and what is known of them."""

from datetime import UTC, datetime

from catalog.records import BootCheckReport, Family, Image, QualityCheck, QualityReport, Verdict
from tests.catalog.samples import an_image

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def proven(image: Image, **fields: object) -> Image:
    """Return an image as it is after an add that went well."""
    quality = QualityReport(
        suite="image", success=True, checks=(QualityCheck(name="n", success=True, sentence="s"),), checked_at=NOW
    )
    facts = {"verdict": Verdict(format="raw", virtual_size_bytes=512, rule_set="2026.11"), "quality": quality}
    return image.model_copy(update={"sha256": image.sha256 or "ab" * 32, **facts, **fields})


def a_build(version: str = "1.0", **fields: object) -> Image:
    """Return the record of a build that is Ready and proven."""
    given: dict[str, object] = {
        "status": "Ready", "family": "debian", "build_version": version, "cpu_architecture": "x86_64",
        "name": f"debian-{version}",
    }  # fmt: skip
    made = {name: fields.pop(name) for name in ("verdict", "quality") if name in fields}
    return proven(an_image(**{**given, **fields}), **made)


def a_family(**fields: object) -> Family:
    """Return a family without rules of its own."""
    return Family.model_validate({"name": "debian", "hygiene": "off", "created_at": NOW, "updated_at": NOW, **fields})


def booted(image: Image, *, well: bool = True) -> BootCheckReport:
    """Return what a boot check said of an image."""
    return BootCheckReport(
        image_id=image.id, cpu_architecture="x86_64", bios_mode="Legacy", booted=well, seconds=1,
        evidence="Linux version 6.1" if well else "nothing but the firmware was seen", checked_at=NOW,
    )  # fmt: skip
