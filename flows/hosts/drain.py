"""Drain a host and resume it."""

from catalog.records import Host, Plan
from flows.operation import flow_of
from flows.requests import DrainHost, ResumeHost
from tasks.hosts.drain import plan_host_state, set_host_state


@flow_of(DrainHost)
def drain_host(request: DrainHost) -> Host | Plan:
    """Let a host finish what it does and take no new runs; those that need its directories wait. Raises HostNotFound."""
    change = plan_host_state if request.plan_only else set_host_state
    return change(request.name, "Draining", request.account)


@flow_of(ResumeHost)
def resume_host(request: ResumeHost) -> Host | Plan:
    """Let a drained host take runs again. Raises HostNotFound."""
    change = plan_host_state if request.plan_only else set_host_state
    return change(request.name, "Connected", request.account)
