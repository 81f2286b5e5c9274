"""The console as it is served: by https where a certificate is set, and believing nobody about the way of a request."""

import ssl
from pathlib import Path

import httpx
import pytest
import trustme

from catalog.errors import InvalidRequest
from catalog.settings import load_settings
from tests.console.api.v1.people import AUTH
from tests.console.served import served

BASIC = tuple(AUTH.split(":"))


def test_https_by_setting(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    chain, key = home / "chain.pem", home / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(chain)
    certificate.private_key_pem.write_to_path(key)
    monkeypatch.setenv("IMAGEWRIGHT_TLS_CERTIFICATE", str(chain))
    monkeypatch.setenv("IMAGEWRIGHT_TLS_KEY", str(key))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with served() as port:
        page = httpx.get(f"https://127.0.0.1:{port}/", verify=trusting, auth=BASIC, timeout=60)  # type: ignore[arg-type]
        assert page.status_code == 200
        assert "Strict-Transport-Security" in page.headers
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{port}/", timeout=60)
        old = ssl.create_default_context()
        authority.configure_trust(old)
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"https://127.0.0.1:{port}/", verify=old, timeout=60)


def test_who_connects_from_this_machine_is_no_proxy_by_that(home: Path) -> None:
    told = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7", "X-Forwarded-Host": "evil.example"}
    with served() as port:
        page = httpx.get(f"http://127.0.0.1:{port}/", headers=told, auth=BASIC, timeout=60)  # type: ignore[arg-type]
        assert (page.status_code, "Strict-Transport-Security" in page.headers) == (200, False)


@pytest.mark.parametrize("name", ["TLS_CERTIFICATE", "TLS_KEY"])
def test_one_without_the_other_is_said(home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"IMAGEWRIGHT_{name}", "/etc/ssl/x.pem")
    with pytest.raises(InvalidRequest, match="IMAGEWRIGHT_TLS"):
        load_settings()
