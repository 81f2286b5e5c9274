"""The time now, and sizes."""

from datetime import UTC, datetime

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def utc_now() -> datetime:
    """Return the moment by this host's clock, timezone-aware UTC. What the catalog keeps goes by the catalog's (`Catalog.now`)."""
    return datetime.now(UTC)


def readable(count: int) -> str:
    """Return a size as people read it."""
    value = float(count)
    for unit in UNITS[:-1]:
        if abs(value) < 1024:
            return f"{value:.4g} {unit}"
        value /= 1024
    return f"{value:.4g} {UNITS[-1]}"
