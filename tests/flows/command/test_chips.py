"""explain-chip: where a piece lies and what keeps it, in sentences."""

import json
from pathlib import Path

import pytest

from catalog.errors import ImageNotFound, InvalidRequest
from flows.command.chips import explain_chip
from tests.flows.managed import opened, placed
from tests.storage.imagestore.compacting import build


def told(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    said = json.loads(capsys.readouterr().out)
    return said["digest"], " ".join(said["sentences"])


def test_a_chip_is_explained_by_its_digest_or_by_where_it_is(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = placed(build(1))
    explain_chip("default", image_id=image.id, offset=100_000, as_json=True)
    digest, sentences = told(capsys)
    assert "stored in packs/" in sentences
    assert f"kept: image {image.id} needs it" in sentences
    opened().delete(image.id)
    explain_chip("default", digest=digest, as_json=True)
    assert "garbage" in told(capsys)[1]
    explain_chip("default", digest="ab" * 32)
    assert "not stored: no index names it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "digest"),
        ({"digest": "zz"}, "digest"),
        ({"digest": "abcd"}, "digest"),
        ({"image_id": "i", "digest": "ab" * 32}, "digest"),
    ],
)
def test_what_is_no_chip_is_refused(home: Path, given: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        explain_chip("default", **given)  # type: ignore[arg-type]  # as somebody types it


def test_bytes_that_no_chip_holds_are_refused(home: Path) -> None:
    image = placed(bytes(1 << 20) + build(1))
    with pytest.raises(InvalidRequest, match="only zeros around it"):
        explain_chip("default", image_id=image.id, offset=5)
    with pytest.raises(InvalidRequest, match="the image has"):
        explain_chip("default", image_id=image.id, offset=1 << 30)
    with pytest.raises(ImageNotFound):
        explain_chip("default", image_id="nobody")
