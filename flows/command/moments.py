"""Parse moments given on a command line."""

from datetime import UTC, datetime

from catalog.errors import InvalidRequest


def moment(parameter: str, text: str) -> datetime:
    """Parse a moment. Raises InvalidRequest."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidRequest(parameter, text, "a moment such as 2026-03-01T12:00:00Z") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)
