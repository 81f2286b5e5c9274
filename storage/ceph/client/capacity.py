"""The used and available space of a pool."""

import json

from pydantic import BaseModel

from catalog.errors import StorageUnavailable
from catalog.records import Capacity
from storage.ceph.client.connection import CONNECT_S, Connection, fault, translated


class _Stats(BaseModel):
    stored: int = 0
    max_avail: int = 0
    quota_bytes: int = 0


class _Pool(BaseModel):
    name: str
    stats: _Stats


class _Pools(BaseModel):
    pools: tuple[_Pool, ...] = ()


def pool_room(connection: Connection, pool: str) -> tuple[int, int] | None:
    """Return (used, available) bytes of user data in a pool within its quota; None if the cluster keeps no statistics.

    Statistics come from a manager daemon; without one the monitors answer with empty lists.
    """
    for found in _ask(connection, "df", detail="detail").pools:
        if found.name == pool:
            used, available, quota = found.stats.stored, found.stats.max_avail, found.stats.quota_bytes
            return used, min(available, max(0, quota - used)) if quota else available
    return None


def capacity(
    room: tuple[int, int] | None, stored_bytes: int, limit_bytes: int | None, reserve_bytes: int, storage: str
) -> Capacity:
    """Combine the pool's room, the configured limit and the reserve into a capacity.

    room: None without statistics; the limit and the bytes we stored decide then. Raises StorageUnavailable if there is
    neither.
    """
    if room is None and limit_bytes is None:
        raise StorageUnavailable(
            storage, "its cluster keeps no statistics; start a manager (ceph-mgr) or set capacity_bytes"
        )
    used, available = room if room is not None else (stored_bytes, (limit_bytes or 0) - stored_bytes)
    if limit_bytes is not None:
        available = min(available, limit_bytes - stored_bytes)
    total = used + available if limit_bytes is None else min(limit_bytes, used + available)
    return Capacity(total_bytes=max(total, 0), used_bytes=used, available_bytes=max(0, available - reserve_bytes))


def _ask(connection: Connection, prefix: str, **arguments: str) -> _Pools:
    command = json.dumps({"prefix": prefix, "format": "json"} | arguments)
    with translated(connection.storage, f"asking for {prefix}"):
        code, answer, words = connection.cluster.mon_command(command, b"", timeout=CONNECT_S)
    if code:
        raise fault(connection.storage, f"asking for {prefix}", code, words=words)
    return _Pools.model_validate_json(answer)
