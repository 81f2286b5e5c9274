"""A person sends a file, the console dies in the middle, they go on, export the image and fetch it by its link."""

import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from catalog import open_catalog
from catalog.errors import ImageNotFound
from tests.console.tus import TUS, creation, piece
from tests.services.payload import payload
from tests.services.process import free_port
from tests.services.serving import Serving
from tests.services.signed import basic

pytestmark = pytest.mark.xdist_group("console")


@payload
def content() -> bytes:
    return random.Random(7).randbytes(3 << 20) + bytes(1 << 20)


OURS = {"X-Imagewright": "1"}
WAIT_S = 120.0


@contextmanager
def console(served: Serving, **more: str) -> Iterator[tuple[httpx.Client, "subprocess.Popen[bytes]"]]:
    """Run a second console on the same home, one that may be killed."""
    port = free_port()
    environment = {**served.environment, "PREFECT_API_URL": served.api, **more}
    process = subprocess.Popen([sys.executable, "-m", "console", "--port", str(port)], env=environment)
    try:
        base = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=base, headers=basic(served.auth), timeout=60) as client:
            _until(lambda: _answers(client))
            yield client, process
    finally:
        process.kill()
        process.wait()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.options("/uploads").status_code == 204
    except httpx.HTTPError:
        return False


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _status(served: Serving, image_id: str) -> str:
    """Return the state of an image, empty while there is none; the command takes a second to load."""
    with suppress(ImageNotFound), open_catalog(f"sqlite:///{served.home}/catalog.db") as catalog:
        return catalog.image(image_id).status
    return ""


def test_upload_survives_a_kill_and_comes_back_by_a_link(served: Serving) -> None:
    with console(served) as (client, process):
        answer = client.post("/uploads", headers=creation(len(content()), name="sent by hand"))
        assert answer.status_code == 201, answer.text
        place = answer.headers["Location"]
        data = served.home / "uploads" / place.rpartition("/")[2] / "data"

        def halting() -> Iterator[bytes]:
            yield content()[: 2 << 20]
            _until(lambda: data.stat().st_size >= 1 << 20)
            process.kill()
            yield content()[2 << 20 :]

        with pytest.raises(httpx.HTTPError):
            client.patch(place, content=halting(), headers=piece(0))
    client = httpx.Client(base_url=served.console, headers=basic(served.auth), timeout=60)
    kept = int(client.head(place, headers=TUS).headers["Upload-Offset"])
    assert 0 < kept <= 2 << 20
    assert client.patch(place, content=content()[kept:], headers=piece(kept)).status_code == 204
    image_id = place.rpartition("/")[2]
    again = client.patch(place, content=b"", headers=piece(len(content())))  # as a client that lost the answer
    assert again.status_code in (204, 404)
    _until(lambda: _status(served, image_id) == "Ready")
    _until(lambda: client.head(place, headers=TUS).status_code == 404)
    assert not (served.home / "uploads" / image_id).exists()
    with console(served, IMAGEWRIGHT_LINK_HOURS="0.002") as (client, _):
        _fetched_by_link(served, client, image_id)


def _fetched_by_link(served: Serving, client: httpx.Client, image_id: str) -> None:
    exported = json.loads(served.command("export-image", "--image-id", image_id, "--json").stdout)
    answer = client.post(f"/api/exports/{exported['id']}/link", headers=OURS)
    url = answer.json()["url"]
    whole = client.get(url)
    assert whole.content == content()
    digest = hashlib.md5(content()).hexdigest()
    assert whole.headers["ETag"] == f'"{hashlib.sha256(content()).hexdigest()}"'
    assert "md5=:" in whole.headers["Repr-Digest"]
    part = client.get(url, headers={"Range": "bytes=1000000-1000009", "If-Range": whole.headers["ETag"]})
    assert (part.status_code, part.content) == (206, content()[1000000:1000010])
    other = client.get(url, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert (other.status_code, len(other.content)) == (200, len(content()))
    assert client.get(f"{url}.md5").text.startswith(f"{digest}  ")
    token = url.split("/")[2]
    for forged in (
        token[:-5] + ("B" if token[-5] == "A" else "A") + token[-4:],
        "x" + token,
        token.partition(".")[0],
        "",
        "a.b",
        f"{token.partition('.')[0]}.ä",
    ):
        assert client.get(f"/download/{forged}/a").status_code == 404
    _until(lambda: client.get(url).status_code == 404)  # it expires
    assert client.post("/api/exports/nothing/link", headers=OURS).status_code == 404
