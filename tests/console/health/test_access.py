"""Who may ask how all is without a sign-in."""

import pytest
from starlette.types import Scope

from catalog.errors import InvalidRequest
from console.health.access import FORWARDED, Watchers


def asked(client: tuple[str, int] | None, path: str = "/metrics", method: str = "GET", *headers: str) -> Scope:
    sent = [(name.encode(), b"127.0.0.1") for name in headers]
    return {"type": "http", "path": path, "method": method, "headers": sent, "client": client}


@pytest.mark.parametrize(
    ("client", "may"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", False),
        ("::ffff:10.0.0.1", False), ("fe80::1%eth0", False), ("testclient", False), ("", False), ("2001:db8::1", False),
    ],
)  # fmt: skip
def test_by_default_this_host_alone(client: str, may: bool) -> None:
    assert Watchers(("127.0.0.0/8", "::1/128")).may_ask(asked((client, 1))) is may


def test_a_network_that_the_setting_names_and_nobody_where_it_names_none() -> None:
    assert Watchers(("10.1.0.0/16",)).may_ask(asked(("10.1.2.3", 1)))
    assert not Watchers(("10.1.0.0/16",)).may_ask(asked(("127.0.0.1", 1)))
    assert not Watchers(()).may_ask(asked(("127.0.0.1", 1)))
    assert not Watchers(("127.0.0.0/8",)).may_ask(asked(None))


@pytest.mark.parametrize("header", FORWARDED)
def test_what_came_through_a_proxy_signs_in(header: str) -> None:
    watchers = Watchers(("0.0.0.0/0", "::/0"))
    assert watchers.may_ask(asked(("127.0.0.1", 1)))
    assert not watchers.may_ask(asked(("127.0.0.1", 1), "/metrics", "GET", header))


@pytest.mark.parametrize("path", ["/", "/metrics/", "/readyz/x", "//metrics", "/images/metrics", "/api/plans/x"])
def test_nothing_else_is_open(path: str) -> None:
    assert not Watchers(("127.0.0.0/8",)).may_ask(asked(("127.0.0.1", 1), path))


def test_only_reading_is_open() -> None:
    assert not Watchers(("127.0.0.0/8",)).may_ask(asked(("127.0.0.1", 1), "/metrics", "POST"))


def test_what_is_no_network_is_named() -> None:
    with pytest.raises(InvalidRequest, match=r"IMAGEWRIGHT_MONITORING_NETWORKS.*10\.0\.0"):
        Watchers(("10.0.0",))
