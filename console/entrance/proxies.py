"""Read forwarding headers of a request, only from proxies that the settings trust, nearest proxy first."""

from collections.abc import Iterable, Iterator
from ipaddress import IPv6Address, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import Scope

from catalog.errors import InvalidRequest

HANDED_ON = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")
SITE_BITS = 64
"""Bits of an IPv6 address that identify a subscriber, who can choose the rest freely."""


class Proxies:
    """The proxies in front of the service. Raises InvalidRequest for an invalid network."""

    def __init__(self, networks: Iterable[str]) -> None:
        given = tuple(networks)
        try:
            self._networks = tuple(ip_network(one, strict=False) for one in given)
        except ValueError as error:
            allowed = "networks such as 10.0.0.0/8, separated by commas"
            raise InvalidRequest("IMAGEWRIGHT_TRUSTED_PROXIES", ",".join(given), allowed) from error

    def address_of(self, request: HTTPConnection) -> str:
        """Return a request's client address, by which sign-ins are limited."""
        address = request.client.host if request.client else ""
        for told in _backwards(request.headers.getlist("X-Forwarded-For")):
            if not self._is_proxy(address):
                return _site(address)
            address = told
        return _site(address)

    def is_https(self, scope: Scope) -> bool:
        """Tell whether the browser speaks https, to us or to a trusted proxy."""
        if scope.get("scheme") == "https":
            return True
        return self._told(scope, "X-Forwarded-Proto").lower() == "https"

    def host_of(self, scope: Scope) -> str:
        """Return the host and port that the browser asked for, if a proxy asks us for another."""
        return self._told(scope, "X-Forwarded-Host") or Headers(scope=scope).get("Host", "")

    def _told(self, scope: Scope, header: str) -> str:
        """Return the nearest proxy's value of a header, "" if the proxy is not trusted."""
        client = scope.get("client")
        if not client or not self._is_proxy(str(client[0])):
            return ""
        return next(_backwards(Headers(scope=scope).getlist(header)), "")

    def _is_proxy(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)


def _backwards(headers: Iterable[str]) -> Iterator[str]:
    """Yield the items of several lists, the nearest proxy's first."""
    for header in reversed(list(headers)):
        for one in reversed(header.split(",")):
            yield one.strip()


def _site(address: str) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return address[:64]
    if not isinstance(found, IPv6Address):
        return str(found)
    return str(found.ipv4_mapped or ip_network((found, SITE_BITS), strict=False))


def is_local(request: HTTPConnection) -> bool:
    """Tell whether a request was made on this machine, and not forwarded by a proxy here."""
    handed_on = any(name in request.headers for name in HANDED_ON)
    try:
        return not handed_on and request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:
        return False
