"""Secrets never show; one spelling has one meaning."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import SourceForbidden
from storage.sources import mask, split_urls
from storage.sources.urls import parse_url

MASKED = {
    "http://u:p@h/x?X-Amz-Signature=abc&a=1": "http://u:***@h/x?X-Amz-Signature=***&a=1",
    "https://h/x?sv=2020&sig=AbC%3D&sp=r": "https://h/x?sv=2020&sig=***&sp=r",
    "https://h/x?token=t;Expires=5": "https://h/x?token=***;Expires=5",
    "https://h/x?AWSAccessKeyId=A&Signature=B": "https://h/x?AWSAccessKeyId=***&Signature=***",
    "https://ghp_token@h/x": "https://***@h/x",
    "sftp://user@h/x": "sftp://user@h/x",
    "ftp://u:p/w@host/x": "ftp://u:***@host/x",
    "ftp://u:p@w@host/x": "ftp://u:***@host/x",
    "ftp://u:p?w@host/x": "ftp://u:***@host/x",
    "http:u:p@h": "***@h",
    "u:p@h/x": "***@h/x",
    "http://[::1]:80/x@y": "http://[::1]:80/x@y",
    "file:///a@b:c": "file:///a@b:c",
    "http://a:p@h/x  ftp://b:q@h/y": "http://a:***@h/x ftp://b:***@h/y",
    "http://a:p w@h/x": "http://a:***@h/x",
    "": "",
}


@pytest.mark.parametrize(("url", "shown"), MASKED.items())
def test_what_a_masked_url_shows(url: str, shown: str) -> None:
    assert mask(url) == shown


SECRETS = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=4).filter(
    lambda text: text not in "https://user:***@example.com:80/disk.raw" and not text.isdigit()
)


@given(SECRETS, st.sampled_from(["http", "https", "ftp", "sftp", "s3", "x"]))
def test_no_password_shows_however_it_is_typed(secret: str, scheme: str) -> None:
    from urllib.parse import quote

    escaped = quote(secret, safe="")
    assert escaped not in mask(f"{scheme}://user:{escaped}@example.com:80/disk.raw").replace("***", "")


@given(st.text(max_size=60))
def test_masking_and_parsing_never_fail_otherwise_than_by_refusing(text: str) -> None:
    mask(text)
    for prefix in ("", "http://", "ftp://u:p@", "s3://", "sftp://[", "file://"):
        with suppress(SourceForbidden):
            parse_url(prefix + text)


def test_userinfo_is_decoded_once_and_hidden() -> None:
    url = parse_url("sftp://na%40me:p%2525%3A@h:2222/a%20b")
    assert (url.user, url.password, url.host, url.port) == ("na@me", "p%25:", "h", 2222)
    assert url.decoded_path == "/a b"
    assert "p%25" not in repr(url)


def test_an_international_name_is_encoded() -> None:
    assert parse_url("http://bücher.example/x").host == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    "url",
    [
        "http://h:0/x",
        "http://h:65536/x",
        "http://h:٣/x",
        "http://h:+80/x",
        "http:///x",
        "http://-h/x",
        "http://h..x/x",
        "http://h/%zz",
        "http://h h/a",
        "http://u:p w@h/a",
        "http://h/a\tb",
        "http://h/a\u00a0b",
        "http://h/x#part",
        "http://[::1/x",
        "http://[::1]x/x",
        "file://host/x",
        "file:x",
    ],
)
def test_a_doubtful_spelling_is_refused(url: str) -> None:
    with pytest.raises(SourceForbidden):
        parse_url(url)


def test_a_space_within_a_name_is_escaped_and_no_other_character_is_guessed() -> None:
    assert parse_url("file:///images/Windows Server 2022.raw").decoded_path == "/images/Windows Server 2022.raw"
    assert parse_url("http://h/a b?c=d e").target == "/a%20b?c=d%20e"
    with pytest.raises(SourceForbidden, match=r"the character '\|', which must be written as %7C"):
        parse_url("http://h/a|b")
    with pytest.raises(SourceForbidden, match=r"the character U\+0009, which must be written as %09"):
        parse_url("http://h/a\tb")


@pytest.mark.parametrize("pasted", ["{}", " {}\n", '"{}"', "'{}'", "<{}>", "“{}”", "\u200b{}\ufeff", "\u2066{}\u2069"])
def test_what_is_pasted_along_with_an_address_is_dropped(pasted: str) -> None:
    url = "https://h/Windows Server 2022.raw"
    assert split_urls(pasted.format(url)) == [url]
    assert split_urls(f"{pasted.format(url)} {pasted.format(url)}") == [url, url]
    assert mask(pasted.format("http://u:p@h/x")) == "http://u:***@h/x"
