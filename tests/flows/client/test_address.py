"""Addresses and tokens as people give them, and where they are kept."""

import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import InvalidRequest
from catalog.settings import load_settings
from flows.client import Client
from flows.client.address import Login, chosen, forget, is_in_the_open, keep, kept_login, login_file, service_url


@pytest.mark.parametrize(
    ("given_", "meant"),
    [
        ("https://images.example", "https://images.example"),
        (" https://Images.Example:4201/ ", "https://images.example:4201"),
        ("http://127.0.0.1:4201/api/v1", "http://127.0.0.1:4201"),
        ("http://127.0.0.1:4201/api/v1/", "http://127.0.0.1:4201"),
        ("https://example.org/images/api/v1", "https://example.org/images"),
        ("http://[::1]:4201", "http://[::1]:4201"),
    ],
)
def test_an_address_is_one_however_it_is_written(given_: str, meant: str) -> None:
    assert service_url("url", given_) == meant
    assert service_url("url", meant) == meant


@pytest.mark.parametrize(
    "given_",
    [
        "", "images.example", "ftp://images.example", "https://", "https://me:secret@images.example", "https://a/?b", "https://a/#b",
        "https://a b", "https://a:99999", "https://[::1", "file:///etc/passwd", "https://a\x00b",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_and_no_password_of_it_repeated(given_: str) -> None:
    with pytest.raises(InvalidRequest, match="an address such as") as raised:
        service_url("url", given_)
    assert "secret" not in str(raised.value)


@given(st.text(max_size=40))
def test_whatever_is_given_is_an_address_or_refused(text: str) -> None:
    try:
        assert service_url("url", f"http://{text}").startswith("http://")
    except InvalidRequest:
        return


def test_what_leaves_the_machine_in_the_open() -> None:
    assert [is_in_the_open(url) for url in ("http://10.0.0.5", "http://localhost:1", "https://10.0.0.5")] == [
        True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("token", ["iw_a b", "iw_é", "iw_a\r\nX-Other: y"])
def test_what_can_be_no_token_is_refused_and_not_repeated(home: Path, token: str) -> None:
    with pytest.raises(InvalidRequest, match="token: 'what was given' is not allowed") as raised:
        Client("http://127.0.0.1:1", token)
    assert token not in str(raised.value)


def test_a_login_is_the_user_s_alone_whatever_the_group(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGEWRIGHT_GROUP", "root")
    settings = load_settings()
    assert chosen(settings) is None
    login = Login(url="https://images.example", token="iw_x", name="a")
    keep(settings, login)
    assert stat.S_IMODE(login_file(settings).stat().st_mode) == 0o600
    assert kept_login(settings) == chosen(settings) == login
    login_file(settings).write_text(json.dumps({"url": 5}))
    assert chosen(settings) is None
    forget(settings)
    forget(settings)
    assert not login_file(settings).exists()
