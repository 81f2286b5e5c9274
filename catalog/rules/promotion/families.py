"""Rules for a family's name, labels and limits.

| field | refused |
|---|---|
| name | anything that is no valid image name |
| labels | anything but key=value, a duplicate key |
| keep_last | less than 1: the latest itself would be deleted |
| boot_command | without boot_check cloud-init, which runs it |
| keep_days, deprecate_after_days, soak_hours | less than 0 |
"""

from catalog.errors import InvalidRequest
from catalog.records import Family
from catalog.rules.images.builds import check_labels
from catalog.rules.images.naming import check_description, check_name


def check_family(family: Family) -> None:
    """Raise InvalidRequest for the first rule that a family breaks."""
    check_name(family.name)
    check_description(family.description)
    check_labels(family.labels)
    if family.keep_last is not None and family.keep_last < 1:
        raise InvalidRequest("keep_last", family.keep_last, "1 or more; leave it out to keep all")
    if family.boot_command and family.boot_check != "cloud-init":
        raise InvalidRequest("boot_command", family.boot_command, "goes with boot_check cloud-init, which runs it")
    for name in ("keep_days", "deprecate_after_days", "soak_hours"):
        value = getattr(family, name)
        if value is not None and not value >= 0:
            raise InvalidRequest(name, value, "0 or more")
