"""The address policy of sources, enforced on the address actually connected to.

A name is resolved once, every answer is checked, and only checked answers are connected to, so a name that changes
between check and connect gains nothing. No proxy is ever used. Special-purpose addresses: IANA registries (RFC 6890 and
its updates).
"""

import ipaddress
import socket
import sys
import time
from dataclasses import dataclass
from functools import lru_cache

from catalog.errors import InvalidRequest, SourceForbidden, SourceNotFound, TransferInterrupted
from catalog.settings import Settings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# ipaddress.is_global differs between the Python versions we support (3.11.9 and 3.12.4 changed it): own table.
_NOT_PUBLIC_V4 = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "carrier-grade NAT",
    "127.0.0.0/8": "loopback",
    "169.254.0.0/16": "link-local",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "reserved",
    "192.0.2.0/24": "documentation",
    "192.31.196.0/24": "reserved",
    "192.52.193.0/24": "reserved",
    "192.88.99.0/24": "6to4 relay",
    "192.168.0.0/16": "private",
    "192.175.48.0/24": "reserved",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
}
# IPv6: only 2000::/3 is allocated; the rest (loopback, mapped, compatible, NAT64, unique local, link-local, multicast)
# is refused as a whole, and so are the parts of 2000::/3 that embed or represent other addresses.
_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
_NOT_PUBLIC_V6 = {
    "2001::/23": "a protocol assignment (Teredo, ORCHID)",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4, which embeds an IPv4 address",
    "2620:4f:8000::/48": "reserved",
    "3fff::/20": "documentation",
}
_TABLE = tuple((ipaddress.ip_network(net), why) for net, why in (_NOT_PUBLIC_V4 | _NOT_PUBLIC_V6).items())


BRIEF_BYTES = 8 << 10  # the kernel doubles it
NEAR_S, NEAR_BYTES = 0.001, 512 << 10
"""Round trip below which a server is near, and the receive buffer that is enough for it.

Bytes in the kernels' buffers have to be fetched again when a reader is killed: unlimited, the buffer grows until they
are 27-37 MB on loopback; with 512 KiB they are 4 MB (the sender's side), at the same speed.
"""


class NoConnection(TransferInterrupted):
    """Nothing answers at the address, so another request would not help."""


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Permitted addresses, and how to connect to them. Timeouts in seconds."""

    allowed: tuple[Network, ...] = ()
    connect_timeout_s: float = 15.0

    def refusal(self, address: Address) -> str | None:
        """Return why `address` is refused, or None if it may be connected to."""
        if any(address.version == net.version and address in net for net in self.allowed):
            return None
        for network, why in _TABLE:
            if address.version == network.version and address in network:
                return f"address {address} is {why}"
        if address.version == 6 and address not in _PUBLIC_V6:
            return f"address {address} is not public"
        return None

    def resolve(self, host: str, port: int, masked: str) -> tuple[Address, ...]:
        """Return the permitted addresses of `host`.

        host: as `parse_url` returns it. Raises SourceForbidden if there are only refused ones, SourceNotFound if the
        name does not exist, TransferInterrupted if the resolver does not answer.
        """
        found = tuple(dict.fromkeys(_look_up(host, port, masked)))
        permitted = tuple(address for address in found if self.refusal(address) is None)
        if not permitted:
            reasons = "; ".join(str(self.refusal(address)) for address in found)
            raise SourceForbidden(masked, f"{reasons}; add its network to IMAGEWRIGHT_ALLOWED_NETWORKS to permit it")
        return permitted

    def connect(self, host: str, port: int, masked: str, *, brief: bool = False) -> socket.socket:
        """Connect to the first permitted address of `host` that answers. Raises TransferInterrupted if none does.

        brief: only little will be read, so let the server send little ahead (a receive buffer of 16 KiB).
        """
        deadline = time.monotonic() + self.connect_timeout_s
        last: OSError | None = None
        for address in self.resolve(host, port, masked):
            try:
                return self._connect(address, port, masked, deadline - time.monotonic(), brief)
            except OSError as error:
                last = error
        raise NoConnection(masked, 0, f"cannot connect: {_say(last)}") from last

    def _connect(self, address: Address, port: int, masked: str, timeout_s: float, brief: bool) -> socket.socket:
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(max(timeout_s, 0.001))
            if brief:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BRIEF_BYTES)
            sock.connect((str(address), port))
            if not brief and round_trip_s(sock) < NEAR_S:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NEAR_BYTES)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.check_peer(sock, masked)
        except BaseException:
            sock.close()
            raise
        return sock

    def check_peer(self, sock: socket.socket, masked: str) -> Address:
        """Return the peer's address. Raises SourceForbidden if it is refused. Call before sending."""
        address = ipaddress.ip_address(sock.getpeername()[0].partition("%")[0])
        if (reason := self.refusal(address)) is not None:
            raise SourceForbidden(masked, reason)
        return address


def round_trip_s(sock: socket.socket) -> float:
    """Return the round trip measured by the kernel: timing connect() measures a busy worker instead."""
    facts = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 72)
    return int.from_bytes(facts[68:72], sys.byteorder) / 1e6  # tcpi_rtt, in microseconds


def policy(settings: Settings) -> AddressPolicy:
    """Return the address policy described by `settings`."""
    return AddressPolicy(_networks(settings.allowed_networks), settings.connect_timeout_s)


@lru_cache(maxsize=16)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(text, strict=False) for text in texts)
    except ValueError as error:
        raise InvalidRequest(
            "IMAGEWRIGHT_ALLOWED_NETWORKS", ",".join(texts), "networks such as 10.0.0.0/8, separated by commas"
        ) from error


def _look_up(host: str, port: int, masked: str) -> list[Address]:
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise NoConnection(masked, 0, f"the name server does not answer for {host}") from error
        raise SourceNotFound(masked, f"host {host} does not exist") from error
    except UnicodeError as error:
        raise SourceForbidden(masked, f"{host!r} is not a host name") from error
    return [ipaddress.ip_address(str(answer[4][0]).partition("%")[0]) for answer in answers]


def _say(error: OSError | None) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror or str(error)) if error is not None else "no address"
