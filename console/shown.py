"""How values are shown."""

from datetime import datetime

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size(count: int | None) -> str:
    """Return bytes in the largest unit that leaves a number of at least one."""
    if count is None:
        return ""
    value, unit = float(count), 0
    while value >= 1024 and unit + 1 < len(UNITS):
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {UNITS[unit]}" if unit else f"{count} B"


def when(moment: datetime | None) -> str:
    """Return a moment in UTC, to the minute."""
    return moment.strftime("%Y-%m-%d %H:%M") if moment else ""


def verb(flow: str) -> str:
    """Return what a button of a flow says."""
    return flow.replace("_", " ").capitalize()
