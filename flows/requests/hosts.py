"""Hosts that work on one catalog."""

from pydantic import Field

from flows.registry import operation
from flows.requests.form import ChangingRequest, at


@operation("flows.hosts.drain", rights="admin", run="drain {name}", bytes_at="none")
class DrainHost(ChangingRequest):
    """Let a host finish what it does and take no new runs, e.g. before its machine is switched off."""

    name: str = Field(**at(0, "Name", "Name of the host; `imagewright hosts` lists them."))


@operation("flows.hosts.drain", rights="admin", run="resume {name}", bytes_at="none")
class ResumeHost(ChangingRequest):
    """Let a drained host take runs again."""

    name: str = Field(**at(0, "Name", "Name of the host."))
