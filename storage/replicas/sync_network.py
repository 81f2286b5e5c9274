"""This host's address in a sync network, from which connections of a sync go out."""

import ipaddress
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from catalog.errors import StorageRefused
from catalog.records import ImageStorage

IPV4 = Path("/proc/net/fib_trie")
IPV6 = Path("/proc/net/if_inet6")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def source_address(storage: ImageStorage, other: ImageStorage) -> str | None:
    """Return the local address to which connections to `storage` are bound while it syncs with `other`.

    Its own sync network has priority over the other's: a sync uses one network as a whole. None if neither has one.
    Raises StorageRefused if this host has no address in that network.
    """
    network = storage.sync_network or other.sync_network
    return None if network is None else address_in(network, storage.name, local_addresses())


def address_in(network: str, storage: str, addresses: Iterator[Address]) -> str:
    """Return the first address in a network given in CIDR notation. Raises StorageRefused."""
    wanted = ipaddress.ip_network(network, strict=False)
    for address in addresses:
        if address in wanted:
            return str(address)
    raise StorageRefused(
        storage,
        f"its sync network is {network} and this host has no address there; sync from a host that has",
    )


def local_addresses() -> Iterator[Address]:
    """Yield the addresses of this host, as listed by the kernel."""
    lines = IPV4.read_text().splitlines() if IPV4.exists() else []
    seen = set()
    for line, below in pairwise(lines):
        if line.lstrip().startswith("|--") and "/32 host LOCAL" in below:
            seen.add(ipaddress.ip_address(line.split()[-1]))
    yield from sorted(seen, key=int)
    for line in IPV6.read_text().splitlines() if IPV6.exists() else []:
        yield ipaddress.IPv6Address(int(line.split()[0], 16))
