"""Allow monitoring without sign-in by the address of the connection, never by the request's headers."""

import ipaddress
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import Scope

from catalog.errors import InvalidRequest

PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
"""Headers of requests through a proxy, whose address says nothing about the client; anyone can forge their values."""


class Watchers:
    """The networks that may monitor. Raises InvalidRequest for an invalid network."""

    def __init__(self, networks: Iterable[str]) -> None:
        given = tuple(networks)
        try:
            self._networks = tuple(ipaddress.ip_network(network, strict=False) for network in given)
        except ValueError as error:
            allowed = "networks such as 10.0.0.0/8, separated by commas"
            raise InvalidRequest("IMAGEWRIGHT_MONITORING_NETWORKS", ",".join(given), allowed) from error

    def may_ask(self, scope: Scope) -> bool:
        """Tell whether a request needs no sign-in: it only monitors, and comes directly from one of the networks."""
        if scope["path"] not in PATHS or scope["method"] not in ("GET", "HEAD"):
            return False
        headers = Headers(scope=scope)
        if any(name in headers for name in FORWARDED):
            return False
        return self._contains((scope.get("client") or ("", 0))[0])

    def _contains(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:  # a Unix socket has no address
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped or address
        return any(address.version == network.version and address in network for network in self._networks)
