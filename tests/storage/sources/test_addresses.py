"""No spelling and no redirect leads to an address that is off limits: a listener counts who comes."""

import ipaddress
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import SourceForbidden, SourceNotFound
from catalog.settings import Settings
from storage.sources import fetch_checksum, open_source
from storage.sources.network.addresses import AddressPolicy
from tests.services.faulty_http import Faults, FaultyHttp, faulty_http

CLOSED = Settings(connect_timeout_s=1, read_timeout_s=1)

# PORT is where the listener is. What is no URL of ours, what spells loopback oddly, what lies in a special network.
SPELLINGS = [
    "http://127.0.0.1:PORT/x",
    "http://127.0.0.2:PORT/x",
    "http://127.255.255.254:PORT/x",
    "http://localhost:PORT/x",
    "http://LOCALHOST:PORT/x",
    "http://localhost.:PORT/x",
    "http://127.0.0.1.:PORT/x",
    "http://2130706433:PORT/x",
    "http://017700000001:PORT/x",
    "http://0x7f000001:PORT/x",
    "http://0X7F.0.0.1:PORT/x",
    "http://0177.0.0.1:PORT/x",
    "http://0177.0.0.01:PORT/x",
    "http://127.1:PORT/x",
    "http://127.0.1:PORT/x",
    "http://127.0.0.0x1:PORT/x",
    "http://0x7f.1:PORT/x",
    "http://0x7F.0x0.0x0.0x1:PORT/x",
    "http://0177.1:PORT/x",
    "http://127.000.000.001:PORT/x",
    "http://4294967296:PORT/x",
    "http://425.510.425.510:PORT/x",
    "http://127.0.0.1..:PORT/x",
    "http://0b1111111.0.0.1:PORT/x",
    "http://00:PORT/x",
    "http://127.0.0.1%00.example.com:PORT/x",
    "http://127%2e0%2e0%2e1:PORT/x",
    "http://0:PORT/x",
    "http://0.0.0.0:PORT/x",
    "http://0x0:PORT/x",
    "http://[::1]:PORT/x",
    "http://[0:0:0:0:0:0:0:1]:PORT/x",
    "http://[::]:PORT/x",
    "http://[::ffff:127.0.0.1]:PORT/x",
    "http://[::ffff:7f00:1]:PORT/x",
    "http://[::127.0.0.1]:PORT/x",
    "http://[64:ff9b::127.0.0.1]:PORT/x",
    "http://[64:ff9b:1::7f00:1]:PORT/x",
    "http://[2002:7f00:1::]:PORT/x",
    "http://[2001:0:7f00:1::]:PORT/x",
    "http://[64:ff9b::7f00:1]:PORT/x",
    "http://[::ffff:0:7f00:1]:PORT/x",
    "http://[0:0:0:0:0:ffff:7f00:0001]:PORT/x",
    "http://[::7f00:1]:PORT/x",
    "http://[::1%25lo]:PORT/x",
    "http://[::1%lo]:PORT/x",
    "http://[v1.::1]:PORT/x",
    "http://[127.0.0.1]:PORT/x",
    "http://[[::1]]:PORT/x",
    "http://[::1]x:PORT/x",
    "http://::1:PORT/x",
    "http://ip6-localhost:PORT/x",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/latest/meta-data/",
    "http://100.100.100.200/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://[fe80::1%25lo]:PORT/x",
    "http://[fe80::1%lo]:PORT/x",
    "http://[fc00::1]:PORT/x",
    "http://[fec0::1]:PORT/x",
    "http://[ff02::1]:PORT/x",
    "http://[2001:db8::1]:PORT/x",
    "http://[3fff::1]:PORT/x",
    "http://[100::1]:PORT/x",
    "http://①②⑦.⓪.⓪.①:PORT/x",
    "http://\uff11\uff12\uff17.0.0.1:PORT/x",
    "http://127。0。0。1:PORT/x",
    "http://①②⑦.1:PORT/x",
    "http://\U0001d7cf\U0001d7d0\U0001d7d5.0.0.1:PORT/x",
    "http://127.0.0.1\u200b:PORT/x",
    "http://127.0.0.\u00b9:PORT/x",
    "http://127\uff0e0\uff0e0\uff0e1:PORT/x",
    "http://loc%61lhost:PORT/x",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:PORT/x",
    "http://١٢٧.0.0.1:PORT/x",
    "http://example.com@127.0.0.1:PORT/x",
    "http://example.com:80@127.0.0.1:PORT/x",
    "http://a@b@127.0.0.1:PORT/x",
    "http://127.0.0.1:PORT\\@example.com/x",
    "http://example.com\\@127.0.0.1:PORT/x",
    "http://127.0.0.1:PORT#@example.com/x",
    "http://127.0.0.1:PORT?@example.com/x",
    "http:127.0.0.1:PORT/x",
    "http:/127.0.0.1:PORT/x",
    "http:///127.0.0.1:PORT/x",
    "http://\t127.0.0.1:PORT/x",
    "http://127.0.0.1:PORT\r\nHost: example.com/x",
    "http://127.0.0.1 :PORT/x",
    "//127.0.0.1:PORT/x",
    "127.0.0.1:PORT/x",
    "https:http://127.0.0.1:PORT/x",
    "url:http://127.0.0.1:PORT/x",
    "http+unix://%2frun%2fx.sock/x",
    "ws://127.0.0.1:PORT/x",
    "data:,x",
    "ftps://127.0.0.1:PORT/x",
    "scp://u:p@127.0.0.1:PORT/x",
    "nbd://127.0.0.1:PORT/x",
    "gopher://127.0.0.1:PORT/x",
    "dict://127.0.0.1:PORT/x",
    "ldap://127.0.0.1:PORT/x",
    "tftp://127.0.0.1:PORT/x",
    "unix:///run/x.sock",
    "jar:http://127.0.0.1:PORT/x!/",
    "HTTP://127.0.0.1:PORT/x",
    "http://10.0.0.1:PORT/x",
    "http://100.64.0.1:PORT/x",
    "http://169.254.169.254/latest/meta-data/",
    "http://172.31.255.255/x",
    "http://192.168.0.1/x",
    "http://192.0.0.192/x",
    "http://192.88.99.1/x",
    "http://198.18.0.1/x",
    "http://224.0.0.1/x",
    "http://240.0.0.1/x",
    "http://255.255.255.255/x",
    "https://127.0.0.1:PORT/x",
    "ftp://127.0.0.1:PORT/x",
    "ftp://u:p@127.1:PORT/x",
    "sftp://u:p@127.0.0.1:PORT/x",
    "sftp://u:p@[::1]:PORT/x",
    "s3://bucket/key?endpoint=http://127.0.0.1:PORT",
    "s3://bucket/key?endpoint=http://0x7f.1:PORT",
    "s3://bucket/key?endpoint=http://[::1]:PORT",
    "s3://bucket/key?endpoint=http://u:p@127.0.0.1:PORT",
    "s3://bucket/key?endpoint=http%3A%2F%2F127.0.0.1%3APORT",
    "s3://bucket/key?endpoint=http://example.com&endpoint=http://127.0.0.1:PORT",
    "s3://bucket/key?endpoint=//127.0.0.1:PORT",
    "s3://bucket/key?endpoint=ftp://127.0.0.1:PORT",
    "s3://bucket/key?endpoint=file:///etc/passwd",
    "http://127.0.0.1:PORT/x http://127.0.0.2:PORT/x http://[::1]:PORT/x",
    "http://127.0.0.1:PORT/x ftp://127.0.0.1:PORT/x sftp://u:p@127.0.0.1:PORT/x",
    "file://127.0.0.1/etc/passwd",
    "file:///etc/passwd",
    "file:///proc/self/environ",
    "file:///proc/self/root/etc/passwd",
    "file:////etc/passwd",
    "file:///%2e%2e/etc/passwd",
    "file:/etc/passwd",
]


@pytest.fixture(scope="module")
def listeners() -> Iterator[tuple[FaultyHttp, FaultyHttp]]:
    with faulty_http() as four, faulty_http(host="::1") as six:
        for server in (four, six):
            server.serve("/x", Faults(content=b"secret"))
        yield four, six


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_closed_address_is_refused_and_never_connected_to(
    spelling: str, listeners: tuple[FaultyHttp, FaultyHttp]
) -> None:
    for server in listeners:
        before = server.connections
        with pytest.raises((SourceForbidden, SourceNotFound)):
            open_source(spelling.replace("PORT", str(server.port)), CLOSED).probe()
        assert server.connections == before


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_list_of_checksums_is_fetched_from_there_either(
    spelling: str, listeners: tuple[FaultyHttp, FaultyHttp]
) -> None:
    for server in listeners:
        before = server.connections
        with pytest.raises((SourceForbidden, SourceNotFound)):
            fetch_checksum("http://example.com/disk.raw", CLOSED, sums_url=spelling.replace("PORT", str(server.port)))
        assert server.connections == before


REDIRECTS = [
    "http://127.0.0.1:PORT/x",
    "http://localhost:PORT/x",
    "//127.0.0.1:PORT/x",
    "http://[::ffff:127.0.0.1]:PORT/x",
    "http://2130706433:PORT/x",
    "http://user:secret@127.0.0.2:PORT/x",
    "http://169.254.169.254/latest/meta-data/",
    "http://0x7f.1:PORT/x",
    "http://127.1:PORT/x",
    "http://localhost.:PORT/x",
    "http://[::1]:PORT/x",
    "http://[64:ff9b::7f00:1]:PORT/x",
    "http://[2002:7f00:1::]:PORT/x",
    "http://①②⑦.0.0.1:PORT/x",
    "http://[127.0.0.1:PORT/x",
    "http://[::1",
    "//[]:PORT/x",
    "///127.0.0.1:PORT/x",
    "https://127.0.0.1:PORT/x",
    "http:127.0.0.1:PORT/x",
    "\\\\127.0.0.1:PORT\\x",
    "HTTP://127.0.0.1:PORT/x",
    "http://127.0.0.1:PORT/x http://127.0.0.1:PORT/y",
    "s3://bucket/key?endpoint=http://127.0.0.1:PORT",
    "sftp://u:secret@127.0.0.1:PORT/x",
    "data:,x",
    "file:///etc/passwd",
    "file:/etc/passwd",
    "ftp://127.0.0.1:PORT/x",
    "gopher://127.0.0.1:PORT/x",
    "",
]


@pytest.mark.parametrize("target", REDIRECTS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_leads_there_either(target: str, status: int, listeners: tuple[FaultyHttp, FaultyHttp]) -> None:
    victim = listeners[0]
    with faulty_http(host="127.0.0.9") as allowed:
        first = allowed.serve("/a", Faults(redirect="/b", redirect_status=status))
        location = target.replace("PORT", str(victim.port)) or "http://"
        allowed.serve("/b", Faults(redirect=location, redirect_status=status))
        before = victim.connections
        open_only_here = CLOSED.model_copy(update={"allowed_networks": ("127.0.0.9/32",)})
        with pytest.raises((SourceForbidden, SourceNotFound)) as caught:  # not found: a path of the first server
            open_source(first, open_only_here).probe()
        assert victim.connections == before
        assert allowed.connections >= 2
        assert "secret" not in str(caught.value)


def test_a_name_that_changes_its_mind_after_the_check_gains_nothing(
    listeners: tuple[FaultyHttp, FaultyHttp], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["8.8.8.8", "127.0.0.1", "127.0.0.1", "127.0.0.1"])
    dialled: list[str] = []

    def lying_resolver(_host: str, port: int, **_more: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    def record(_sock: socket.socket, address: tuple[str, int]) -> None:
        dialled.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", lying_resolver)
    monkeypatch.setattr(socket.socket, "connect", record)
    with pytest.raises(Exception, match="cannot connect"):
        AddressPolicy().connect("rebinding.example", 80, "http://rebinding.example/")
    assert dialled == ["8.8.8.8"]


def test_the_peer_is_checked_after_connecting_too(listeners: tuple[FaultyHttp, FaultyHttp]) -> None:
    with (
        socket.create_connection(("127.0.0.1", listeners[0].port)) as sock,
        pytest.raises(SourceForbidden, match="loopback"),
    ):
        AddressPolicy().check_peer(sock, "http://x/")


def test_no_proxy_of_the_environment_is_asked(
    listeners: tuple[FaultyHttp, FaultyHttp], monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty_http() as server:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, listeners[0].url)
        before = listeners[0].connections
        url = server.serve("/image", Faults(content=b"1234"))
        assert open_source(url, Settings(allowed_networks=("127.0.0.1/32",))).probe().size_bytes == 4
        assert listeners[0].connections == before


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_what_the_standard_library_calls_private_is_never_permitted(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    special = address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
    if special or address.is_reserved or address.is_unspecified:
        assert AddressPolicy().refusal(address) is not None


@given(st.ip_addresses(v=4, network="10.1.0.0/16"))
def test_a_network_that_is_named_is_permitted_and_its_neighbour_is_not(
    address: ipaddress.IPv4Address,
) -> None:
    policy = AddressPolicy(allowed=(ipaddress.ip_network("10.1.0.0/16"),))
    assert policy.refusal(address) is None
    assert policy.refusal(address + (1 << 16)) is not None
