"""Operations on storages rather than on one image: whose they are."""

from catalog.errors import InvalidRequest
from catalog.rules.sharing import ADMIN


def require_admin(account: str, operation: str) -> None:
    """Raise InvalidRequest unless the account is admin."""
    if account != ADMIN:
        raise InvalidRequest("account", account, f"{ADMIN}: only it may {operation}")
