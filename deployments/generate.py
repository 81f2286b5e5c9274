"""Generate the files in the tree that derive from the operations' rows: `python -m deployments.generate`."""

import ast
import json
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from deployments.definitions import POOL, ROOT, DeploymentDefinition, definitions
from flows.registry import OPERATIONS, Operation

SHARED = ("ChangingRequest", "ImagesRequest", "Request")
"""Names that `flows.requests` exports besides the requests of flows."""


def flow_names() -> str:
    """Return the stub of `flows`: every flow by its name, loaded on first use."""
    return _exports((row.module, row.name) for row in OPERATIONS.values())


def request_names() -> str:
    """Return the stub of `flows.requests`."""
    found = [(row.request.__module__, row.request.__name__) for row in OPERATIONS.values()]
    return _exports([*found, *(("flows.requests.form", name) for name in SHARED)])


def _exports(names: Iterable[tuple[str, str]]) -> str:
    return "".join(f"from {module} import {name} as {name}\n" for module, name in sorted(names))


def results() -> str:
    """Return the module of operations' result types: remote clients get JSON and import no flow."""
    returned = {name: _returned(row) for name, row in sorted(OPERATIONS.items())}
    records = sorted(
        {node.id for kind in returned.values() for node in ast.walk(kind) if isinstance(node, ast.Name)} - {"tuple"}
    )
    rows = "".join(f'    "{name}": {ast.unparse(kind)},\n' for name, kind in returned.items())
    return RESULTS.format(records="".join(f"    {name},\n" for name in records), rows=rows)


RESULTS = '''\
"""What each operation returns. Written by `make generate` from the flows."""

from collections.abc import Mapping

from catalog.records import (
{records})

RESULTS: Mapping[str, object] = {{
{rows}}}
'''


def _returned(row: Operation) -> ast.expr:
    """Return the return annotation of a flow's function."""
    spec = find_spec(row.module)
    text = Path(spec.origin).read_text() if spec and spec.origin else ""
    found = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == row.name]
    if not found or found[0].returns is None:
        raise TypeError(f"{row.module}.{row.name} does not say what it returns")
    return found[0].returns


OPEN, CLOSE = "<!-- operations: written by `make generate` -->\n", "<!-- /operations -->"
COLUMNS = ("flow", "rights", "by itself (UTC)", "lock", "what is left if it dies in the middle")


def flows_readme() -> str:
    """Return `flows/README.md` with its table of operations; operations of a room with equal rows share a line."""
    before, _, rest = (ROOT / "flows/README.md").read_text().partition(OPEN)
    lines = [COLUMNS, ("---",) * len(COLUMNS), *_operations()]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"{before}{OPEN}{table}{CLOSE}{rest.partition(CLOSE)[2]}"


def _operations() -> Iterable[tuple[str, ...]]:
    together: dict[tuple[str, ...], list[str]] = {}
    for row in OPERATIONS.values():
        times = ", ".join(f"`{cron.line}`" for cron in row.schedules)
        together.setdefault((row.room, row.rights, times, row.lock, row.left), []).append(f"`{row.name}`")
    return ((", ".join(names), *facts[1:]) for facts, names in together.items())


HEAD = f"""\
# Written by `python -m deployments.generate`: what stands at the requests. `python -m deployments.apply` puts the same
# on the server; `prefect deploy --all` works as well.
name: imagewright
prefect-version: {version("prefect")}

pull:
- prefect.deployments.steps.set_working_directory:
    directory: "{{{{ $IMAGEWRIGHT_ROOT }}}}"

"""


def prefect_yaml() -> str:
    """Return `prefect.yaml`, the deployments as Prefect's own command reads them."""
    import yaml

    rows = {"deployments": [_deployment(row) for row in definitions()]}
    text: str = yaml.safe_dump(rows, sort_keys=False, width=120, allow_unicode=True)
    return HEAD + text


def _deployment(row: DeploymentDefinition) -> dict[str, object]:
    facts = row.model_dump(mode="json", exclude={"single", "grace_s", "queue"}, exclude_defaults=True)
    facts["work_pool"] = {"name": POOL, "work_queue_name": row.queue}
    if row.single:
        grace = {"grace_period_seconds": row.grace_s} if row.grace_s is not None else {}
        facts["concurrency_limit"] = {"limit": 1, "collision_strategy": "CANCEL_NEW", **grace}
    return facts


def openapi() -> str:
    """Return the OpenAPI document of the API, as the service serves it."""
    from catalog.settings import Settings
    from console.api.v1.app import create_api
    from console.oidc.signing_in import OidcSignIn

    settings = Settings(oidc_issuer="", oidc_groups=())
    return json.dumps(create_api(settings, OidcSignIn(settings)).openapi(), indent=1, ensure_ascii=False) + "\n"


def catalogue_schema() -> str:
    """Return the JSON schema of a catalogue as code, for editors."""
    from flows.requests.catalogue import schema

    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


FILES: Mapping[str, Callable[[], str]] = {
    "flows/__init__.pyi": flow_names,
    "flows/requests/__init__.pyi": request_names,
    "flows/client/results.py": results,
    "deployments/prefect.yaml": prefect_yaml,
    "flows/README.md": flows_readme,
    "docs/openapi.json": openapi,
    "docs/catalogue.schema.json": catalogue_schema,
}
"""Generated file → the function that makes its content."""


def main() -> None:
    """Write all generated files."""
    for name, made in FILES.items():
        (ROOT / name).write_text(made())


if __name__ == "__main__":
    main()
