"""Commands that read families: rules, promotions, watches for new builds."""

from typing import Annotated

from cyclopts import Parameter

from flows.command.opening import Json, opened, print_listed

PROMOTED = ("cpu_architecture", "number", "kind", "image_id", "build_version", "previous", "reason", "by", "created_at")


def families(*, as_json: Json = False) -> None:
    """List the families that have rules."""
    with opened() as reader:
        print_listed(reader.families(), RULES, as_json)


RULES = ("name", "description", "keep_last", "keep_days", "deprecate_after_days", "soak_hours", "approval", "boot_check",
         "boot_command", "hygiene", "signature", "image_storages", "owner")  # fmt: skip


def promotions(
    family: Annotated[str, Parameter(help="Name of the family.")],
    *,
    cpu_architecture: Annotated[str | None, Parameter(help="Only for this architecture.")] = None,
    as_json: Json = False,
) -> None:
    """List a family's promotions and rollbacks, oldest first, with the reason and the result of each gate."""
    with opened() as reader:
        print_listed(reader.promotions(family, cpu_architecture), PROMOTED, as_json)


def watches(
    *,
    family: Annotated[str | None, Parameter(help="Only those of this family.")] = None,
    as_json: Json = False,
) -> None:
    """List watches for new builds."""
    with opened() as reader:
        print_listed(reader.watches(family), WATCHED, as_json)


WATCHED = ("name", "family", "kind", "url", "pattern", "cpu_architecture", "checksums_url", "signature_url")
