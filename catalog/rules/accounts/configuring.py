"""Changes of an account's configuration.

| field | not given | back to the default |
|---|---|---|
| quotas, retention, its policy | stays | the setting of the whole system applies |
| projects | stay | none |
"""

from collections.abc import Collection, Mapping

from catalog.errors import InvalidRequest
from catalog.records import Account

CONFIGURED = (
    "projects", "quota_images", "quota_bytes", "quota_stored_bytes", "retention_days", "retention_policy",
)  # fmt: skip


def configured(account: Account, asked: Mapping[str, object], defaults: Collection[str]) -> Account:
    """Return the account with the requested fields; those that are None stay. defaults: fields to reset.

    Raises InvalidRequest for a field that is both set and reset, and for empty names.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    for name in given:
        if name in defaults:
            raise InvalidRequest("defaults", name, f"leave it out where {name} is given")
    reset = {name: Account.model_fields[name].default for name in defaults}
    after = account.model_copy(update=given | reset)
    _check_names(after)
    return after.model_copy(update={"projects": tuple(sorted(set(after.projects)))})


def _check_names(account: Account) -> None:
    if not account.name or account.name != account.name.strip():
        raise InvalidRequest("name", account.name, "a name that is not empty and has no space at either end")
    for project in account.projects:
        if not project or project != project.strip():
            raise InvalidRequest(
                "projects", account.projects, "names that are not empty and have no space at either end"
            )
