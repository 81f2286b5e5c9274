"""Errors of the client of a remote service, besides those that the service itself reports."""

from catalog.errors import ImagewrightError
from catalog.errors.telling import beginning

NO_SUCH_PATH = 404
PLEASE_WAIT = (423, 429, 502, 503, 504)
"""Statuses of a service, or of a proxy in front of it, after which a later attempt may succeed."""


class ServiceUnreachable(ImagewrightError):
    """A service that does not answer, or whose certificate is not trusted. was_reached: it may have heard the request."""

    retryable = True

    def __init__(self, url: str, reason: str, *, was_reached: bool = False) -> None:
        self.url, self.reason, self.was_reached = url, reason, was_reached
        super().__init__(f"the service at {url} can't be reached: {reason}; check its address, or try again later")


class AnswerNotUnderstood(ImagewrightError):
    """An answer that no service of ours gives: another program answers there, or something between changed it."""

    def __init__(self, url: str, found: str) -> None:
        self.url, self.found = url, found
        super().__init__(
            f"{url} answered {beginning(found)}, as no Imagewright does; check the address, and what lies between"
        )


class ServiceRefused(ImagewrightError):
    """A refusal that is none of our errors. kind: what it calls the error; retry_after_s: when to ask again."""

    def __init__(self, url: str, status: int, kind: str, sentence: str, retry_after_s: float | None = None) -> None:
        self.url, self.status, self.kind, self.sentence = url, status, kind, sentence
        self.retry_after_s = retry_after_s
        why = f": {sentence}" if sentence else ", and does not say why"
        super().__init__(f"the service at {url} refuses ({status}){why}")


class NotOffered(ImagewrightError):
    """Something that a service does not do for those who ask from afar."""

    def __init__(self, url: str, what: str) -> None:
        self.url, self.what = url, what
        super().__init__(f"the service at {url} does not offer {what} from afar; do it on its own host")


class CodeExpired(ImagewrightError):
    """A code that nobody typed at the page of the OpenID provider in time."""

    def __init__(self, url: str, code: str) -> None:
        self.url, self.code = url, code
        super().__init__(f"nobody typed the code {code} in time; `imagewright login {url} --oidc` makes another one")


class RunFailed(ImagewrightError):
    """A run that ended without a result, and without an error of ours."""

    def __init__(self, run: str, state: str, reason: str) -> None:
        self.run, self.state, self.reason = run, state, reason
        super().__init__(f"run {run} is {state}: {reason}; its page in the Prefect UI has the log")
