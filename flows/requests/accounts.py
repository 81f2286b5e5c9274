"""Accounts: what they may take, how long their recycle bin keeps, which projects they are in."""

from typing import Literal

from pydantic import Field

from catalog.records import RetentionPolicy
from catalog.units import EIB, LONGEST_DAYS
from flows.registry import Present, operation
from flows.requests.form import ChangingRequest, at

Configured = Literal[
    "projects", "quota_images", "quota_bytes", "quota_stored_bytes", "retention_days", "retention_policy"
]


@operation(
    "flows.accounts.configure",
    rights="admin",
    run="configure account {name}",
    bytes_at="none",
    buttons=("account",),
    present=Present("account", fixed=("name",)),
)
class SetAccount(ChangingRequest):
    """Set an account's projects, quotas and recycle bin; what is left empty stays as it is."""

    name: str = Field(**at(0, "Name", "Name of the account to configure."))
    projects: tuple[str, ...] | None = Field(None, **at(1, "Projects", "All projects that the account is a member of."))
    quota_images: int | None = Field(
        None, **at(2, "Images", "Most images, recycle bin included; 0: no limit.", ge=0, le=EIB)
    )
    quota_bytes: int | None = Field(
        None, **at(3, "Logical bytes", "Most bytes of files added, recycle bin included; 0: no limit.", ge=0, le=EIB)
    )
    quota_stored_bytes: int | None = Field(
        None, **at(4, "Stored bytes", "Most bytes on storages, after deduplication; 0: no limit.", ge=0, le=EIB)
    )
    retention_days: float | None = Field(
        None,
        **at(5, "Retention", "Days that its deleted images stay in the recycle bin.", ge=0, le=LONGEST_DAYS),
    )
    retention_policy: RetentionPolicy | None = Field(
        None, **at(6, "Retention policy", "direct: expunged at once; delay: after the retention; never.")
    )
    defaults: tuple[Configured, ...] = Field(
        (), **at(7, "Defaults", "Fields reset to the setting of the whole system.")
    )
