"""Credentials of a source are given by the name of a secret: they open it, go to its host only, and show nowhere."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client

from catalog import open_catalog
from catalog.errors import InvalidRequest, SourceForbidden, TransferInterrupted
from catalog.records import Image, ImageStatus, Plan
from flows.requests import AddVolumeImage
from tests.flows.conftest import MIB
from tests.services.faulty_http import Faults, faulty_http
from tests.services.nginx import nginx
from tests.services.private_user import USER
from tests.services.s3 import BUCKET, KEY, SECRET, server
from tests.services.sshd import make_key, sshd

pytestmark = pytest.mark.prefect
TOKEN, PASSPHRASE = "t0ken-of-nobody", "passphrase-of-nobody"
DATA = os.urandom(2 * MIB)


@dataclass(frozen=True)
class Locked:
    """An image that only `secret` opens, and what of the secret must not show."""

    url: str
    secret: object
    hidden: str
    checksum: str | None = None


@contextmanager
def behind_a_key(folder: Path) -> Iterator[Locked]:
    """OpenSSH; the key is encrypted."""
    (folder / "disk.raw").write_bytes(DATA)
    with sshd(folder / "sshd", folder) as running:
        make_key(running.key, PASSPHRASE)
        secret = {"private_key": running.key.read_text(), "passphrase": PASSPHRASE}
        yield Locked(f"sftp://{USER}@{running.host}{folder}/disk.raw", secret, PASSPHRASE)


@contextmanager
def behind_a_bare_key(folder: Path) -> Iterator[Locked]:
    """OpenSSH; the secret is nothing but the text of a key."""
    (folder / "disk.raw").write_bytes(DATA)
    with sshd(folder / "sshd", folder) as running:
        key = running.key.read_text()
        yield Locked(f"sftp://{USER}@{running.host}{folder}/disk.raw", key, key.splitlines()[2])


@contextmanager
def behind_a_password(folder: Path) -> Iterator[Locked]:
    """The nginx of a publisher whose list of checksums asks for the password too."""
    (folder / "disk.raw").write_bytes(DATA)
    (folder / "SHA256SUMS").write_text(f"{sha256(DATA).hexdigest()}  disk.raw\n")
    with nginx(folder / "nginx", folder) as running:
        yield Locked(f"{running.url}/private/disk.raw", "imagewright:secret", "imagewright:secret", "sums:")


@contextmanager
def behind_a_token(folder: Path) -> Iterator[Locked]:
    """An nginx that wants a bearer token."""
    (folder / "disk.raw").write_bytes(DATA)
    guard = f'location /token/ {{ if ($http_authorization != "Bearer {TOKEN}") {{ return 401; }} alias {folder}/; }}'
    with nginx(folder / "nginx", folder, server=guard) as running:
        yield Locked(f"{running.url}/token/disk.raw", {"token": TOKEN}, TOKEN)


@contextmanager
def behind_s3_keys(folder: Path) -> Iterator[Locked]:
    """A bucket; the secret also says which server it is for."""
    import s3fs

    store, name = server(), f"{BUCKET}/{uuid4().hex}"
    s3fs.S3FileSystem(key=KEY, secret=SECRET, endpoint_url=store.endpoint, skip_instance_cache=True).pipe_file(
        name, DATA
    )
    keys = {"access_key": KEY, "secret_key": SECRET, "endpoint": store.endpoint}
    yield Locked(f"s3://{name}?endpoint={store.endpoint}", keys, SECRET)


PLACES = (behind_a_key, behind_a_bare_key, behind_a_password, behind_a_token, behind_s3_keys)


@pytest.fixture(autouse=True)
def _ssh_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_SSH_HOST_POLICY", "accept-new")
    monkeypatch.setenv("IMAGEWRIGHT_RETRIES", "0")


def add(url: str, credentials: str | None, **fields: object) -> Image | Plan:
    from flows import add_volume_image

    given = {"name": "data", "image_format": "raw", "image_path": url, "credentials": credentials, **fields}
    return add_volume_image(AddVolumeImage.model_validate(given))


def keep(secret: object) -> str:
    """Keep a secret in a Prefect block as a person does in its form; return the block's name."""
    from prefect.blocks.system import Secret

    name = f"source-{uuid4().hex}"
    Secret(value=secret if isinstance(secret, str) else json.dumps(secret)).save(name)
    return name


def told() -> str:
    """Return everything that Prefect and the catalog tell of all runs."""
    with get_client(sync_client=True) as client:
        runs = [run.model_dump_json() for run in (*client.read_flow_runs(), *client.read_artifacts())]
    with open_catalog() as catalog:
        kept = [record.model_dump_json() for record in (*catalog.images(), *catalog.events())]
    return "\n".join(runs + kept)


@pytest.mark.parametrize("place", PLACES)
def test_a_named_secret_opens_the_source_and_shows_nowhere(
    home: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    place: Callable[[Path], AbstractContextManager[Locked]],
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    with place(folder) as locked:
        name = keep(locked.secret)
        with pytest.raises((SourceForbidden, TransferInterrupted)) as caught:
            add(locked.url, None)
        image = add(locked.url, name, expected_checksum=locked.checksum)
    assert isinstance(image, Image)
    assert (image.status, image.sha256) == (ImageStatus.READY, sha256(DATA).hexdigest())
    printed = capfd.readouterr()
    for text in (told(), caplog.text, printed.out, printed.err, str(caught.value)):
        assert locked.hidden not in text
    files = [path for path in home.rglob("*") if path.is_file()]
    assert not [path for path in files if locked.hidden.encode() in path.read_bytes()]


def test_an_add_that_broke_off_is_resumed_with_the_same_name(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE", json.dumps({"token": TOKEN}))
    monkeypatch.setenv("IMAGEWRIGHT_PARALLEL_RANGES", "1")
    data, identity = os.urandom(32 * MIB), str(uuid4())
    with faulty_http() as running:
        url = running.serve("/image", Faults(content=data, cut_at=16 * MIB))
        with pytest.raises(TransferInterrupted):
            add(url, "env:SOURCE", image_id=identity)
        image = add(url, "env:SOURCE", image_id=identity)
        assert {headers["Authorization"] for _, _, headers in running.requests} == {f"Bearer {TOKEN}"}
        assert any(headers["Range"] not in (None, "bytes=0-0") for headers in running.gets("/image"))
    assert isinstance(image, Image)
    assert image.sha256 == sha256(data).hexdigest()
    assert TOKEN not in told()


def test_other_hosts_never_see_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE", "reader:geheim")
    listed = f"{sha256(DATA).hexdigest()}  image\n".encode()
    with faulty_http() as first, faulty_http() as second, faulty_http() as third:
        elsewhere = third.serve("/image", Faults(content=DATA))
        mirror = second.serve("/image", Faults(content=DATA))
        sums = second.serve("/SHA256SUMS", Faults(content=listed))
        url = first.serve("/image", Faults(redirect=elsewhere))
        image = add(f"{url} {mirror}", "env:SOURCE", expected_checksum=f"sums:{sums}")
        assert isinstance(image, Image)
        assert image.status is ImageStatus.READY
        assert all("Authorization" in headers for _, _, headers in first.requests)
        for other in (second, third):
            assert other.requests
            assert all("Authorization" not in headers for _, _, headers in other.requests)


@pytest.mark.parametrize("plan_only", [True, False])
def test_an_unknown_name_is_said_in_one_sentence(home: Path, plan_only: bool) -> None:
    with faulty_http() as running:
        url = running.serve("/image", Faults(content=DATA))
        for name, allowed in (("nobody-s", "Prefect Secret block"), ("env:NOBODY_S", "set on the worker")):
            with pytest.raises(InvalidRequest, match=f"credentials: '{name}' is not allowed; .*{allowed}"):
                add(url, name, plan_only=plan_only)
        assert running.requests == []


def test_a_secret_that_the_scheme_cannot_use_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE", json.dumps({"private_key": "x"}))
    with faulty_http() as running:
        url = running.serve("/image", Faults(content=DATA))
        with pytest.raises(InvalidRequest, match="http takes user, password, token"):
            add(url, "env:SOURCE")
        assert running.requests == []


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://me:geheim@127.0.0.1/x", "one place only"),
        ("http://t0ken@127.0.0.1/x", "one place only"),
        ("http://127.0.0.1/x ftp://me:{secret:env:SOURCE}@127.0.0.1/x", "one place only"),
        ("file:///srv/x.raw", "only http, https, ftp, sftp, s3 take them"),
    ],
)
def test_what_competes_with_a_named_secret_is_refused_before_anything_is_recorded(
    home: Path, url: str, sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"credentials: 'env:SOURCE' is not allowed; .*{sentence}"):
        add(url, "env:SOURCE")
    with open_catalog() as catalog:
        assert not list(catalog.images())
