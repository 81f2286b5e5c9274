"""The client that the console opens for each of its questions trusts whom Prefect's own client trusts."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from prefect.settings import (
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_TLS_INSECURE_SKIP_VERIFY,
    PREFECT_API_URL,
    temporary_settings,
)

from flows.server.client import prefect_client
from tests.services.faulty_http import Faults, faulty_http


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `ca.pem`, a certificate of it `server.pem`, and another authority's `other.pem`."""
    folder, ours = tmp_path_factory.mktemp("authority"), trustme.CA()
    ours.cert_pem.write_to_path(str(folder / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "other.pem"))
    ours.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    return folder


@pytest.fixture(scope="module")
def api(authority: Path) -> Iterator[str]:
    """Yield the URL of a server that says that it is well."""
    with faulty_http(authority / "server.pem") as server:
        yield server.serve("/api/health", Faults(content=b"true")).removesuffix("/health")


def complaint(api: str, certificates: str = "", *, blindly: bool = False) -> Exception | None:
    async def ask() -> Exception | None:
        async with prefect_client() as client:
            return await client.api_healthcheck()

    chosen = {
        PREFECT_API_URL: api,
        PREFECT_API_SSL_CERT_FILE: certificates,
        PREFECT_API_TLS_INSECURE_SKIP_VERIFY: blindly,
    }
    with temporary_settings(chosen):
        return asyncio.run(ask())


def test_an_authority_of_ones_own_is_trusted_once_it_is_named(api: str, authority: Path) -> None:
    assert complaint(api, str(authority / "ca.pem")) is None
    assert complaint(api, str(authority / "ca.pem")) is None


def test_a_certificate_of_another_or_of_nobody_is_refused(api: str, authority: Path) -> None:
    for certificates in (str(authority / "other.pem"), ""):
        assert "CERTIFICATE_VERIFY_FAILED" in str(complaint(api, certificates))


def test_whoever_asks_for_it_trusts_blindly_and_only_then(api: str) -> None:
    assert complaint(api, blindly=True) is None
    assert complaint(api) is not None
