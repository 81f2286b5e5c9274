"""Hide the secrets of a URL. What `mask` returns is all that logs, records and errors ever hold of a source."""

import re
import unicodedata

STARS = "***"
TOLD = 120  # characters of what a server says
_AUTHORITY = re.compile(r"([a-z][a-z0-9+.\-]*:/+)([^/?#]*)", re.IGNORECASE)
_SECRET_PARAMETER = re.compile(
    r"sig|token|secret|passw|pwd|credential|auth|key|session|jwt|x-amz-|x-goog-|^code$|^se$", re.IGNORECASE
)
_BETWEEN = r"\s+(?=[\"'<“]?[a-z][a-z0-9+.\-]*:/)"
_QUOTES = ('""', "''", "<>", "“”")
_PARAMETER = re.compile(r"([?&;])([^=&;#]*)=([^&;#]*)")


def mask(url: str) -> str:
    """Return `url` with its password and every query value that may be a token replaced by `***`.

    Never fails: whatever cannot be parsed is masked as if it held a password. A user without a password is kept,
    except for http(s), where a lone user is usually a token. Several URLs in one text (mirrors) are masked one by one.
    What no terminal should be sent is replaced.
    """
    masked = " ".join(_mask_one(part) for part in split_urls(url)) if url.strip() else url
    return "".join(c if c.isprintable() else "\ufffd" for c in masked)


def told(text: str, *secrets: str | None) -> str:
    """Return what a server said, fit to be shown: printable, short, and without the secrets that it was given."""
    for secret in filter(None, secrets):
        text = text.replace(secret, STARS)
    return "".join(c if c.isprintable() else " " for c in text)[:TOLD].strip()


def carries_secret(url: str) -> bool:
    """Tell whether a URL holds a password, or for http(s) a token, before its host."""
    return re.match(rf"[^/?#]*:/+[^/?#]*{re.escape(STARS)}@", mask(url)) is not None


def split_urls(text: str) -> list[str]:
    """Take apart URLs that are separated by white space, without what is pasted along: quotes, and marks nobody sees."""
    seen = "".join(c for c in text if unicodedata.category(c) != "Cf")
    return [_unquoted(url) for url in re.split(_BETWEEN, seen.strip(), flags=re.IGNORECASE)]


def _unquoted(url: str) -> str:
    pair = url[:1] + url[-1:]
    return url[1:-1].strip() if len(url) > 2 and pair in _QUOTES else url


def _mask_one(url: str) -> str:
    head = _AUTHORITY.match(url)
    if head is None:
        return _mask_query(re.sub(r"^.*@", f"{STARS}@", url))
    end = _end_of_userinfo(url, head)
    if end < 0:
        return _mask_query(url)
    scheme, user = head.group(1), url[head.end(1) : end]
    return f"{scheme}{_mask_user(scheme, user)}@{_mask_query(url[end + 1 :])}"


def _end_of_userinfo(url: str, head: re.Match[str]) -> int:
    """Return the index of the `@` that ends the userinfo, or -1."""
    authority = head.group(2)
    if "@" in authority:
        return head.start(2) + authority.rindex("@")
    # `user:p/w@host`: an unescaped slash in a password must not show the rest of it.
    port = authority.rpartition(":")[2] if ":" in authority and not authority.endswith("]") else "0"
    return -1 if port.isdigit() or not port else url.rfind("@")


def _mask_user(scheme: str, userinfo: str) -> str:
    user, colon, _ = userinfo.partition(":")
    if colon:
        return f"{user}:{STARS}"
    return STARS if scheme.lower().startswith("http") else user


def _mask_query(rest: str) -> str:
    def hide(found: re.Match[str]) -> str:
        mark, name, value = found.groups()
        return f"{mark}{name}={STARS if value and _SECRET_PARAMETER.search(name) else value}"

    return _PARAMETER.sub(hide, rest)
