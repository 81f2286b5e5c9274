"""The time now, and sizes."""

from datetime import UTC, datetime, timedelta

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def utc_now() -> datetime:
    """Return the moment by this host's clock, timezone-aware UTC. What the catalog keeps goes by the catalog's (`Catalog.now`)."""
    return datetime.now(UTC)


def date_said(date: str | None) -> datetime | None:
    """Return the moment of an HTTP server's `Date`, None without one. It is cut to whole seconds, and rounded up here: what is due now is due."""
    from email.utils import parsedate_to_datetime  # every command imports this module, and most ask no server

    return parsedate_to_datetime(date) + timedelta(seconds=1) if date else None


def readable(count: int) -> str:
    """Return a size as people read it."""
    value = float(count)
    for unit in UNITS[:-1]:
        if abs(value) < 1024:
            return f"{value:.4g} {unit}"
        value /= 1024
    return f"{value:.4g} {UNITS[-1]}"
