"""Sources of images, one row per scheme, and the credentials that each takes.

| scheme | default port | used from a secret | location of the file |
|---|---|---|---|
| http, https | 80, 443 | user, password, token | anywhere |
| ftp | 21 | user, password | anywhere |
| sftp | 22 | user, password, private key | anywhere |
| s3 | 443 | user, password, keys, endpoint, region | anywhere |
| file | none | nothing | on the host of the image storage |
| upload | none | nothing | with the console |

`kinds` has the sources that each kind of image storage accepts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from catalog.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class SchemeRules:
    """Rules for all sources of a scheme.

    spelling: of an address as people write it, empty if they never do. port: the default one, 0 if there is no
    connection. secret_fields: fields of a secret that it uses. on_host: the file lies on the host of the image storage,
    which must keep files.
    """

    spelling: str
    port: int = 0
    secret_fields: tuple[str, ...] = ()
    on_host: bool = False


UPLOAD = "upload"
"""The scheme of files uploaded to the console."""
SCHEMES: Mapping[str, SchemeRules] = {
    "http": SchemeRules("http(s)://host/path", 80, ("user", "password", "token")),
    "https": SchemeRules("http(s)://host/path", 443, ("user", "password", "token")),
    "ftp": SchemeRules("ftp://[user:password@]host/path", 21, ("user", "password")),
    "sftp": SchemeRules("sftp://user[:password]@host/path", 22, ("user", "password", "private_key")),
    "s3": SchemeRules("s3://bucket/key", 443, ("user", "password", "access_key", "secret_key", "endpoint", "region")),
    "file": SchemeRules("file:///absolute/path", on_host=True),
    UPLOAD: SchemeRules(""),
}
SPELLINGS = tuple(dict.fromkeys(rules.spelling for rules in SCHEMES.values() if rules.spelling))
SOURCE_RULE = f"give {', '.join(SPELLINGS[:-1])} or {SPELLINGS[-1]}"


def is_address(url: str) -> bool:
    """Tell whether a text begins like a source address."""
    scheme = scheme_of(url)
    return scheme in SCHEMES and bool(SCHEMES[scheme].spelling) and url[len(scheme) :].startswith("://")


def check_credentials(name: str | None, urls: Sequence[str], *, secret_in_url: bool) -> None:
    """Raise InvalidRequest if a named secret has no host to go to, or competes with a secret in a URL.

    name: as in the request. secret_in_url: any of the URLs has a password or token.
    """
    if name is None:
        return
    taking = [scheme for scheme, rules in SCHEMES.items() if rules.secret_fields]
    if scheme_of(urls[0]) not in taking:
        raise InvalidRequest("credentials", name, f"only {', '.join(taking)} take them; leave it empty")
    if secret_in_url:
        raise InvalidRequest("credentials", name, "image_path holds a password already; give it in one place only")


def scheme_of(url: str) -> str:
    """Return the scheme in lower case, empty if there is none."""
    head, colon, _ = url.partition(":")
    return head.lower() if colon and head.isalnum() else ""
