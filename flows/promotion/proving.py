"""What a family asks of a build that nobody looked at yet: looked at now, by the flows of everybody, on the host that has its bytes."""

from flows.images.boot_check import boot_check
from flows.promotion.contents import inspect_contents
from flows.requests import BootCheck, InspectContents
from tasks.promotion.promote import BOOT, INSIDE, still_to_see

LONGEST_S = 900
"""Seconds that a boot gets; without hardware help a login takes minutes."""


def prove(image_id: str, family: str, account: str) -> None:
    """Boot a build and look inside it where its family asks for that and it was not done. Raises as these, and as `still_to_see`."""
    rules, missing = still_to_see(image_id, family, account)
    if BOOT in missing:
        asked = {"until": rules.boot_check, "command": rules.boot_command}
        boot_check(
            BootCheck.model_validate({"image_id": image_id, "timeout_s": LONGEST_S, "account": account, **asked})
        )
    if INSIDE in missing:
        inspect_contents(InspectContents(image_id=image_id, account=account))
