"""Gather the evidence that a family requires of a build, by the ordinary flows, on the host that has the bytes."""

from flows.images.boot_check import boot_check
from flows.promotion.contents import inspect_contents
from flows.requests import BootCheck, InspectContents
from tasks.promotion.promote import BOOT, INSIDE, still_to_see

LONGEST_S = 900
"""Timeout of a boot; without hardware acceleration a login takes minutes."""


def prove(image_id: str, family: str, account: str) -> None:
    """Run the boot check and the inspection that a family requires and a build lacks.

    Raises as those, and as `still_to_see`.
    """
    rules, missing = still_to_see(image_id, family, account)
    if BOOT in missing:
        asked = {"until": rules.boot_check, "command": rules.boot_command}
        boot_check(
            BootCheck.model_validate({"image_id": image_id, "timeout_s": LONGEST_S, "account": account, **asked})
        )
    if INSIDE in missing:
        inspect_contents(InspectContents(image_id=image_id, account=account))
