"""Errors about identities and their permissions."""

from catalog.errors.root import ImagewrightError, NotFound


class NotSignedIn(ImagewrightError):
    """The credentials identify nobody. reason: given only to callers that proved to have the secret."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        why = reason or "no token that is known here was given"
        super().__init__(
            f"sign in first: {why}; `imagewright token create` makes a token, POST /api/v1/session a session"
        )


class SignInFailed(ImagewrightError):
    """Name and password are not those of a person who may sign in. The error never says which of the two is wrong."""

    def __init__(self) -> None:
        super().__init__("no person who may sign in has this name and password; try again, or ask an administrator")


class SignInLimited(ImagewrightError):
    """Too many sign-ins failed under a name, or from an address."""

    retryable = True

    def __init__(self, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"too many sign-ins failed; try again in {retry_after_s} s")


class TooManyRequests(ImagewrightError):
    """An identity exceeds its rate of requests."""

    retryable = True

    def __init__(self, identity: str, per_minute: int, retry_after_s: int) -> None:
        self.identity, self.per_minute, self.retry_after_s = identity, per_minute, retry_after_s
        super().__init__(f"{identity!r} may make {per_minute} requests a minute; try again in {retry_after_s} s")


class SignInRefused(ImagewrightError):
    """The answer of a sign-in provider does not prove a person who may sign in here."""

    def __init__(self, what: str, reason: str) -> None:
        self.what, self.reason = what, reason
        super().__init__(f"{what} failed: {reason}; sign in again, or ask an administrator")


class ProviderUnavailable(ImagewrightError):
    """The OpenID provider does not answer, or not as OpenID Connect specifies."""

    retryable = True

    def __init__(self, issuer: str, reason: str) -> None:
        self.issuer, self.reason = issuer, reason
        super().__init__(f"the sign-in server {issuer} can't be asked: {reason}; try again, or sign in with a password")


class NoSuchSignIn(ImagewrightError):
    """This way to sign in is not set up."""

    def __init__(self, way: str) -> None:
        self.way = way
        super().__init__(
            f"nobody signs in here with {way}: no sign-in server that has it is set (IMAGEWRIGHT_OIDC_ISSUER)"
        )


class SetupClosed(ImagewrightError):
    """The one-time setup link is invalid or no longer valid."""

    def __init__(self) -> None:
        super().__init__(
            "this link makes no administrator: it was used, is not this server's, or was not opened on its own machine; "
            "an administrator adds persons (`imagewright identity add`)"
        )


class NotAllowed(ImagewrightError):
    """The role of the identity, or the scope of its token, does not allow this."""

    def __init__(self, identity: str, operation: str, needed: str) -> None:
        self.identity, self.operation, self.needed = identity, operation, needed
        super().__init__(f"{identity!r} may not {operation}: {needed} is needed")


class OtherAccount(ImagewrightError):
    """The identity does not belong to the account of the request."""

    def __init__(self, identity: str, account: str, own: str) -> None:
        self.identity, self.account, self.own = identity, account, own
        super().__init__(
            f"account: {account!r} is not allowed; {identity!r} belongs to {own!r}, and only an admin acts for others"
        )


class IdentityNotFound(NotFound):
    """No such person or robot."""

    kind = "identity"
    command = "identity list"


class IdentityExists(ImagewrightError):
    """The name is taken."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"identity {name!r} is there already; change it, or choose another name")


class TokenNotFound(NotFound):
    """No such token."""

    kind = "token"
    command = "token list"


class LastAdministrator(ImagewrightError):
    """The change would leave no administrator."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name!r} is the last administrator who can sign in; make another one first")


class RunNotFound(NotFound):
    """No such run, or it belongs to another account."""

    kind = "run"


class KeyReused(ImagewrightError):
    """The idempotency key was used for a different request."""

    def __init__(self, key: str, operation: str) -> None:
        self.key, self.operation = key, operation
        super().__init__(f"Idempotency-Key {key!r} was used for another {operation} request; give a new one")
