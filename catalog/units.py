"""The current time, HTTP dates, and sizes for people."""

from datetime import UTC, datetime, timedelta

MIB, GIB, TIB, EIB = 1 << 20, 1 << 30, 1 << 40, 1 << 60
LONGEST_DAYS = 36_500
"""A hundred years, the longest that anything can be asked to last: dates so far off exist. A longer retention is the policy `never`."""
LONGEST_S = LONGEST_DAYS * 86_400
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def utc_now() -> datetime:
    """Return the moment by this host's clock, timezone-aware UTC.

    Records of the catalog use its own (`Catalog.now`).
    """
    return datetime.now(UTC)


def date_said(date: str | None) -> datetime | None:
    """Return the moment of an HTTP `Date` header, None without one.

    The header is cut to whole seconds, so it is rounded up: whatever is due now counts as due.
    """
    from email.utils import parsedate_to_datetime  # every command imports this module, and most need no date

    return parsedate_to_datetime(date) + timedelta(seconds=1) if date else None


def readable(count: int) -> str:
    """Return a size as people read it."""
    value = float(count)
    for unit in UNITS[:-1]:
        if abs(value) < 1024:
            return f"{value:.4g} {unit}"
        value /= 1024
    return f"{value:.4g} {UNITS[-1]}"
