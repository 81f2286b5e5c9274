"""What headers say of a request's way is believed of named proxies only, from the nearest one back."""

import pytest
from starlette.requests import HTTPConnection

from catalog.errors import InvalidRequest
from console.entrance.proxies import Proxies, is_local


def asked(client: str, *headers: tuple[str, str], scheme: str = "http") -> HTTPConnection:
    raw = [(name.lower().encode(), value.encode()) for name, value in (("Host", "inside:4201"), *headers)]
    return HTTPConnection({"type": "http", "scheme": scheme, "client": (client, 1), "headers": raw})


FOR, PROTO, HOST = "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"
OURS = Proxies(("10.0.0.0/8", "fd00::/8"))


@pytest.mark.parametrize(
    ("client", "headers", "address"),
    [
        ("192.0.2.1", [(FOR, "1.1.1.1")], "192.0.2.1"),
        ("10.0.0.1", [(FOR, "1.1.1.1")], "1.1.1.1"),
        ("10.0.0.1", [(FOR, "6.6.6.6, 1.1.1.1")], "1.1.1.1"),
        ("10.0.0.1", [(FOR, "6.6.6.6, 1.1.1.1, 10.9.9.9")], "1.1.1.1"),
        ("10.0.0.1", [(FOR, "6.6.6.6"), (FOR, "1.1.1.1")], "1.1.1.1"),
        ("10.0.0.1", [(FOR, "nonsense")], "nonsense"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("2001:db8:1:2:3::4", [], "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.9", [], "192.0.2.9"),
        ("fd00::1", [(FOR, "2001:db8::1")], "2001:db8::/64"),
        ("testclient", [(FOR, "1.1.1.1")], "testclient"),
    ],
)
def test_addresses(client: str, headers: list[tuple[str, str]], address: str) -> None:
    assert OURS.address_of(asked(client, *headers)) == address


@pytest.mark.parametrize(
    ("client", "headers", "https", "host"),
    [
        ("10.0.0.1", [(PROTO, "https"), (HOST, "images.example")], True, "images.example"),
        ("10.0.0.1", [(PROTO, "https, http"), (HOST, "evil.example, images.example")], False, "images.example"),
        ("192.0.2.1", [(PROTO, "https"), (HOST, "evil.example")], False, "inside:4201"),
        ("10.0.0.1", [], False, "inside:4201"),
    ],
)
def test_scheme_and_host(client: str, headers: list[tuple[str, str]], https: bool, host: str) -> None:
    scope = asked(client, *headers).scope
    assert (OURS.is_https(scope), OURS.host_of(scope)) == (https, host)
    assert OURS.is_https(asked("192.0.2.1", scheme="https").scope)


def test_a_setting_that_names_no_network_is_said() -> None:
    with pytest.raises(InvalidRequest, match="IMAGEWRIGHT_TRUSTED_PROXIES"):
        Proxies(("10.0.0.0/8", "proxy.example"))


def test_local_is_who_no_proxy_hands_on() -> None:
    assert is_local(asked("127.0.0.1"))
    assert not is_local(asked("127.0.0.1", (FOR, "127.0.0.1")))
    assert not is_local(asked("192.0.2.1"))
