"""Retry interrupted requests: a number of times in a row without progress, doubling the pause each time."""

import random
import time

from catalog.errors import ImagewrightError, SignInLimited, SourceError, StorageUnavailable, UploadBusy
from catalog.settings import Settings
from flows.client.errors import PLEASE_WAIT, ServiceRefused, ServiceUnreachable

LONGEST_S = 30.0
TOO_MANY = 429
MOST_ASKED_S = 86_400.0


class Patience:
    """A budget of retries, refilled by progress."""

    def __init__(self, settings: Settings) -> None:
        self._retries, self._delay_s = settings.retries, settings.retry_delay_s
        self._failed = 0

    def after(self, error: ImagewrightError) -> None:
        """Wait before the next attempt. Raises the error itself if retrying is useless or the budget is spent."""
        if not passes(error) or self._failed >= self._retries:
            raise error
        asked_s = asked_to_wait_s(error)
        usual_s = self._delay_s * 2**self._failed * random.uniform(0.5, 1.5)  # noqa: S311  # spreads many clients
        self._failed += 1
        time.sleep(min(max(asked_s, usual_s), LONGEST_S))

    def refill(self) -> None:
        """Refill the budget after progress."""
        self._failed = 0


def passes(error: ImagewrightError) -> bool:
    """Tell whether an error may pass."""
    if isinstance(error, ServiceRefused):
        return error.status in PLEASE_WAIT
    return isinstance(error, ServiceUnreachable | StorageUnavailable | UploadBusy) or is_limited(error)


def asked_to_wait_s(error: ImagewrightError) -> float:
    """Return the seconds that a service asks to wait, 0 if it names no reasonable time."""
    asked = getattr(error, "retry_after_s", None)
    return float(asked) if isinstance(asked, int | float) and 0 < asked < MOST_ASKED_S else 0.0


def is_limited(error: ImagewrightError) -> bool:
    """Tell whether the error is a rate limit."""
    if isinstance(error, ServiceRefused):
        return error.status == TOO_MANY
    return error.retryable and hasattr(error, "retry_after_s") and not isinstance(error, SignInLimited | SourceError)
