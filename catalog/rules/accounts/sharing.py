"""Who sees an image and who may change it.

| sharing mode | seen by | changed by |
|---|---|---|
| none | owner, admin | owner, admin |
| specified | owner, admin, the named accounts, members of the named projects | owner, admin |
| global | everybody | owner, admin |
"""

from catalog.errors import AccessDenied, ImageNotFound, InvalidRequest
from catalog.records import Account, Image, SharingMode

ADMIN = "admin"


def visible(image: Image, account: Account) -> bool:
    """Tell whether an account may see and use an image."""
    return (
        account.name in (ADMIN, image.owner)
        or image.sharing_mode == "global"
        or (image.sharing_mode == "specified" and _named(image, account))
    )


def _named(image: Image, account: Account) -> bool:
    return account.name in image.shared_accounts or bool(set(account.projects) & set(image.shared_projects))


def require_owner(image: Image, account: Account, operation: str) -> None:
    """Raise AccessDenied unless the account may change the image, ImageNotFound if it may not see it."""
    if account.name in (ADMIN, image.owner):
        return
    if not visible(image, account):
        raise ImageNotFound(image.id)
    raise AccessDenied(account.name, operation, image.id)


def shared(image: Image, mode: SharingMode, accounts: tuple[str, ...] = (), projects: tuple[str, ...] = ()) -> Image:
    """Return the image with new sharing. Raises InvalidRequest unless names are given exactly with mode specified."""
    if mode == "specified" and not accounts and not projects:
        raise InvalidRequest("accounts", (), "with mode specified, name at least one account or project")
    for parameter, names in (("accounts", accounts), ("projects", projects)):
        if names and mode != "specified":
            raise InvalidRequest(parameter, names, f"leave it out with mode {mode}; it goes with mode specified")
        if not all(name.strip() for name in names):
            raise InvalidRequest(parameter, names, "names that are not empty")
    return image.model_copy(
        update={
            "sharing_mode": mode,
            "shared_accounts": tuple(sorted(set(accounts))),
            "shared_projects": tuple(sorted(set(projects))),
        }
    )


def grantees(image: Image) -> frozenset[str]:
    """Return the names in a specified sharing, as `account:NAME` and `project:NAME`; empty for the other modes."""
    if image.sharing_mode != "specified":
        return frozenset()
    accounts = {f"account:{name}" for name in image.shared_accounts}
    return frozenset(accounts | {f"project:{name}" for name in image.shared_projects})


def names_of(account: Account) -> frozenset[str]:
    """Return the names by which a sharing may include an account, in the form of `grantees`."""
    return frozenset({f"account:{account.name}"} | {f"project:{name}" for name in account.projects})


def require_admin(account: str, operation: str) -> None:
    """Raise InvalidRequest unless the account is admin."""
    if account != ADMIN:
        raise InvalidRequest("account", account, f"{ADMIN}: only it may {operation}")
