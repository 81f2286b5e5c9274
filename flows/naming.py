"""Names of flow runs, from what they were asked for."""

from collections.abc import Callable

from prefect.runtime import flow_run


def named(template: str) -> Callable[[], str]:
    """Return a function that names a run by filling the request's fields into `template`."""

    def name() -> str:
        request = flow_run.get_parameters()["request"]
        fields = request if isinstance(request, dict) else request.model_dump()
        return template.format_map(fields)

    return name
