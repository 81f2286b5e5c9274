"""A password in a source's URL stays out of whatever is kept or shown; what Prefect keeps by itself is the run's parameters."""

import os
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

from catalog import open_catalog
from catalog.errors import SourceNotFound, TransferInterrupted
from catalog.records import Image, ImageStatus
from flows.requests import AddVolumeImage
from tests.flows.conftest import MIB
from tests.services.faulty_http import Faults, faulty_http

pytestmark = pytest.mark.prefect
SECRET = "pA55-of-nobody"


def add(url: str) -> Image:
    from flows import add_volume_image

    image = add_volume_image(AddVolumeImage(name="data", image_format="raw", image_path=url))
    assert isinstance(image, Image)
    return image


def artifacts() -> str:
    with get_client(sync_client=True) as client:
        return "\n".join(artifact.model_dump_json() for artifact in client.read_artifacts())


@pytest.mark.parametrize("given", [SECRET, "{secret:env:SOURCE_PASSWORD}"], ids=["typed", "named"])
def test_a_password_works_and_shows_nowhere(
    given: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SOURCE_PASSWORD", SECRET)
    monkeypatch.setenv("IMAGEWRIGHT_RETRIES", "1")
    errors = []
    with faulty_http() as server:
        place = server.url.replace("://", f"://reader:{given}@")
        server.serve("/image", Faults(content=os.urandom(2 * MIB), cut_at=MIB))
        server.serve("/broken", Faults(content=os.urandom(2 * MIB), cut_at=MIB, cut_times=99))
        image = add(f"{place}/image")
        assert image.status is ImageStatus.READY
        for path, error in (("broken", TransferInterrupted), ("absent", SourceNotFound)):
            with pytest.raises(error) as caught:
                add(f"{place}/{path}")
            errors.append(str(caught.value))
        assert all(headers["Authorization"].startswith("Basic ") for _, _, headers in server.requests)
    with open_catalog() as catalog:
        known = "\n".join(image.model_dump_json() for image in catalog.images())
        logged = "\n".join(event.model_dump_json() for event in catalog.events())
    assert "reader:***@" in known
    files = [path for path in home.rglob("*") if path.is_file()]
    assert any(path.name == "catalog.db" for path in files)
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    printed = capfd.readouterr()
    for text in (known, logged, artifacts(), caplog.text, printed.out, printed.err, *errors):
        assert SECRET not in text
