"""Entry point of `imagewright doctor`: `python -m deployments.doctor [--json]`. Exits 1 if any check fails."""

import argparse
import json
import sys
from collections.abc import Mapping
from functools import partial

from pydantic import ValidationError

from catalog.settings import Settings, load_settings
from deployments.doctor.catalog_health import backup_fresh, clock_agrees, replicas_proven, schema_current
from deployments.doctor.examine import Examination, Finding, examined
from deployments.doctor.host import (
    console_key,
    home_closed,
    libraries_in_range,
    programs_there,
    scratch_room,
    settings_valid,
)
from deployments.doctor.server_health import deployments_current, recovery_fresh, server_answers
from deployments.doctor.storage_health import storages_well
from flows.requests.sentences import sentence


def main() -> int:
    """Examine everything at once and say what was found."""
    parser = argparse.ArgumentParser(prog="imagewright doctor", description=main.__doc__)
    parser.add_argument("--json", action="store_true", dest="as_json", help="Print exactly one JSON document.")
    options = parser.parse_args()
    found = findings()
    if options.as_json:
        print(json.dumps([one.model_dump(mode="json") for one in found], ensure_ascii=False, indent=2))
    else:
        width = max(len(one.check) for one in found)
        for one in found:
            print(f"{'ok ' if one.ok else 'BAD'}  {one.check:<{width}}  {one.sentence}")
    sys.stdout.flush()
    return 0 if all(one.ok for one in found) else 1


def findings() -> tuple[Finding, ...]:
    """Return all findings. The home comes first, because opening the catalog tightens its permissions."""
    try:
        settings = load_settings()
    except ValidationError as error:
        return (Finding(check="settings", ok=False, sentence=sentence(error)),)
    home = examined({"home": partial(home_closed, settings)})
    schema = examined({"catalog": partial(schema_current, settings)})
    usable = all(one.ok for one in schema)
    return (*home, *schema, *examined({**_apart(settings), **(_of_catalog(settings) if usable else {})}))


def _apart(settings: Settings) -> Mapping[str, Examination]:
    return {
        "settings": partial(settings_valid, settings),
        "prefect server": partial(server_answers, settings),
        "deployments": partial(deployments_current, settings),
        "recovery": partial(recovery_fresh, settings),
        "scratch": partial(scratch_room, settings),
        "programs": partial(programs_there, settings),
        "libraries": libraries_in_range,
        "console key": partial(console_key, settings),
    }


def _of_catalog(settings: Settings) -> Mapping[str, Examination]:
    return {
        "storages": partial(storages_well, settings),
        "clock": partial(clock_agrees, settings),
        "verification": partial(replicas_proven, settings),
        "backup": partial(backup_fresh, settings),
    }


if __name__ == "__main__":
    sys.exit(main())
