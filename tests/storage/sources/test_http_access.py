"""Who gets the credentials, who is trusted, how far a redirect goes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from catalog.errors import InvalidRequest, SourceForbidden
from catalog.settings import Settings
from storage.sources import open_source
from tests.services.faulty_http import Faults, FaultyHttp, faulty_http
from tests.storage.sources.reading import fetch

BODY = b"image" * 1000


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA, tmp_path: Path) -> Iterator[FaultyHttp]:
    pem = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
    with faulty_http(pem) as running:
        yield running


@pytest.fixture
def trusting(authority: trustme.CA, tmp_path: Path, with_: Callable[..., Settings]) -> Settings:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return with_(ca_file=path)


def test_a_configured_authority_is_trusted(secure: FaultyHttp, trusting: Settings) -> None:
    assert fetch(open_source(secure.serve("/x", Faults(content=BODY)), trusting)) == BODY


def test_an_unknown_authority_is_refused_by_name(secure: FaultyHttp, settings: Settings) -> None:
    with pytest.raises(SourceForbidden, match=r"certificate cannot be trusted.*CA_FILE"):
        open_source(secure.serve("/x", Faults(content=BODY)), settings).probe()
    assert secure.requests == []


def test_a_certificate_for_another_host_is_refused(authority: trustme.CA, trusting: Settings, tmp_path: Path) -> None:
    pem = tmp_path / "other.pem"
    authority.issue_cert("example.com").private_key_and_cert_chain_pem.write_to_path(str(pem))
    with faulty_http(pem) as server, pytest.raises(SourceForbidden, match="certificate"):
        open_source(server.serve("/x", Faults(content=BODY)), trusting).probe()


def test_an_unreadable_authority_file_is_named(secure: FaultyHttp, with_: Callable[..., Settings]) -> None:
    with pytest.raises(InvalidRequest, match="ca_file"):
        open_source(secure.serve("/x", Faults(content=BODY)), with_(ca_file=Path("/nowhere/ca.pem"))).probe()


def test_a_redirect_from_https_to_http_is_refused_unless_configured(
    secure: FaultyHttp, server: FaultyHttp, trusting: Settings
) -> None:
    url = secure.serve("/x", Faults(redirect=server.serve("/y", Faults(content=BODY))))
    with pytest.raises(SourceForbidden, match="from https to"):
        open_source(url, trusting).probe()
    assert server.requests == []
    assert fetch(open_source(url, trusting.model_copy(update={"allow_https_downgrade": True}))) == BODY


def test_credentials_go_to_the_host_they_are_for_and_nowhere_else(server: FaultyHttp, settings: Settings) -> None:
    with faulty_http() as other:
        target = other.serve("/y", Faults(content=BODY))
        url = server.serve("/x", Faults(redirect=target)).replace("//", "//me:geheim@")
        assert fetch(open_source(url, settings)) == BODY
        assert all("Authorization" in headers for _, _, headers in server.requests)
        assert other.requests
        assert all("Authorization" not in headers for _, _, headers in other.requests)


def test_credentials_follow_on_the_same_host(server: FaultyHttp, settings: Settings) -> None:
    server.serve("/y", Faults(content=BODY))
    url = server.serve("/x", Faults(redirect="/y"))
    assert fetch(open_source(url, settings, credentials='{"token": "t0ken"}')) == BODY
    assert {headers["Authorization"] for _, _, headers in server.requests} == {"Bearer t0ken"}


def test_a_secret_wins_over_the_url(server: FaultyHttp, settings: Settings) -> None:
    url = server.serve("/x", Faults(content=BODY)).replace("//", "//a:b@")
    open_source(url, settings, credentials="user:pass:word").probe()
    assert server.requests[0][2]["Authorization"] == "Basic dXNlcjpwYXNzOndvcmQ="


@pytest.mark.parametrize(
    "secret", ["nocolon", "{", '{"user": 1}', '{"unknown": "x"}', "[]", r'{"token": "a\r\nX-Other: b"}']
)
def test_an_unreadable_secret_is_refused_without_showing_it(settings: Settings, secret: str) -> None:
    with pytest.raises(InvalidRequest, match="credentials") as caught:
        open_source("http://example.com/x", settings, credentials=secret)
    assert secret == "{" or secret not in str(caught.value)


def test_twenty_redirects_are_followed_and_a_loop_is_not(server: FaultyHttp, settings: Settings) -> None:
    for step in range(20):
        server.serve(f"/{step}", Faults(redirect=f"/{step + 1}"))
    server.serve("/20", Faults(content=BODY))
    assert fetch(open_source(server.url + "/0", settings)) == BODY
    server.serve("/loop", Faults(redirect="/loop"))
    with pytest.raises(SourceForbidden, match=r"more than 20 times, at last to http.*/loop; give"):
        open_source(server.url + "/loop", settings).probe()


def test_names_typed_as_they_are_reach_the_server_escaped(server: FaultyHttp, settings: Settings) -> None:
    server.serve("/%E9%95%9C%E5%83%8F.raw", Faults(content=BODY))
    assert fetch(open_source(f"{server.url}/镜像.raw", settings)) == BODY
