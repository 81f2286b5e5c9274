"""Entry point of three commands: `python -m deployments.backup backup PLACE | restore BACKUP | migrate-home`."""

import argparse
import os

from catalog.errors import ImagewrightError, InvalidRequest
from catalog.records import BackupReport, MigrationReport, RestoreReport
from catalog.settings import Settings, load_settings
from deployments.backup.making import back_up
from deployments.backup.moving import migrate_home
from deployments.backup.restoring import restore
from flows.command.exits import FAILED, WRONG_USAGE, fail
from flows.command.output import print_json, print_record
from flows.server.environment import prepare
from flows.server.same_catalog import require_same_catalog


def main() -> None:
    """Make a backup, restore one or move the home's catalog, and print a report."""
    parser = argparse.ArgumentParser(prog="imagewright")
    parser.add_argument("verb", choices=("backup", "restore", "migrate-home"))
    parser.add_argument("place", nargs="?", default="")
    parser.add_argument("--replace", action="store_true")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args()
    try:
        settings = load_settings()
        prepare(settings)
        report = _done(settings, options.verb, options.place, replace=options.replace)
    except ImagewrightError as error:
        fail(str(error), WRONG_USAGE if isinstance(error, InvalidRequest) else FAILED)
    print_json(report) if options.as_json else print_record(report)


def _done(
    settings: Settings, verb: str, place: str, *, replace: bool
) -> BackupReport | RestoreReport | MigrationReport:
    if verb == "migrate-home":
        return migrate_home(settings)
    if verb == "restore":
        return restore(settings, place, replace=replace)
    require_same_catalog(settings, os.environ)
    return back_up(settings, place)


if __name__ == "__main__":
    main()
