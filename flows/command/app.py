"""The `imagewright` command: every flow is a subcommand generated from its request model, plus reading commands."""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from errno import EINVAL
from pathlib import Path
from traceback import extract_tb
from typing import Annotated, Any, cast

from cyclopts import App, CycloptsError, Parameter
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from catalog.errors import ImagewrightError, InvalidRequest
from catalog.records import Record
from flows.command.afar.chosen import service
from flows.command.afar.downloads import download
from flows.command.afar.signing_in import login, logout, whoami
from flows.command.chips import explain_chip
from flows.command.exits import FAILED, INTERRUPTED, UNREAD, WRONG_USAGE, fail
from flows.command.output import failures, print_json, print_result
from flows.command.people import identity, token
from flows.command.reading import READING
from flows.command.signing import verify_lineage
from flows.registry import OPERATIONS, Operation

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print exactly one JSON document.")]
LAST = 99
PORT = range(1, 1 << 16)
RESUMED = "; what was kept is resumed from when the same image_id is added again"


def build_app(called: str = "") -> App:
    """Return the command with its subcommands. called: the only one needed, which makes it start faster."""
    app = App(
        name="imagewright",
        help="The life cycle of VM and cloud images: add, verify, deduplicate, move, deliver.",
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    commands = _commands(called)
    for name, made in commands.items():
        app.command(made) if isinstance(made, App) else app.command(made, name=name)
    if called not in commands:
        app.register_install_completion_command()
    return app


def _commands(called: str) -> Mapping[str, Callable[..., None] | App]:
    """Return the called command by its name, or all commands if the name is unknown."""
    plain: dict[str, Callable[..., None] | App] = {**READING, **PLAIN}
    if called in plain:  # without loading any request
        return {called: plain[called]}
    rows = {**{row.deployment: row for row in OPERATIONS.values()}, "adopt": OPERATIONS["adopt_storage"]}
    if called in rows:
        return {called: _flow_command(rows[called])}
    return {**{name: _flow_command(row) for name, row in rows.items()}, **plain}


def _flow_command(row: Operation) -> Callable[..., None]:
    model = row.request
    _arrange(model)

    def command(request: Any, *, as_json: bool = False) -> None:
        _call(row.name, request, as_json)

    if not any(field.is_required() for field in model.model_fields.values()):
        command.__defaults__ = (model(),)
    command.__doc__ = model.__doc__
    command.__annotations__ = {
        "request": Annotated[model, Parameter(name="*")],
        "as_json": Json,
        "return": None,
    }
    return command


def _arrange(model: type[BaseModel]) -> None:
    """Order the options as in the form, required ones first: only these may be given without their names.

    Otherwise an extra word would become the account, the first field of every request.
    """
    fields = model.model_fields
    ordered = sorted(fields.items(), key=lambda item: (not item[1].is_required(), _position(item[1])))
    fields.clear()
    fields.update(ordered)
    for field in fields.values():
        field.kw_only = not field.is_required()


def _position(field: FieldInfo) -> int:
    extra = field.json_schema_extra
    return int(str(extra.get("position", LAST))) if isinstance(extra, dict) else LAST


def _call(name: str, request: BaseModel, as_json: bool) -> None:
    result = _returned(name, request, quiet=as_json)
    if result is None:
        print("null" if as_json else "done; what it returned is too much to be kept for those who ask from afar")
        return
    print_json(result) if as_json else print_result(result)
    if failed := failures(result):
        fail(f"{name.replace('_', '-')} {failed}", FAILED)


def _returned(name: str, request: BaseModel, *, quiet: bool) -> Record | tuple[Record, ...] | None:
    """Run an operation at the named service, else here; return None if its result was too large to be stored."""
    if asked := service():
        from flows.command.afar.operations import call_afar

        with asked as client:
            return call_afar(client, name, request, quiet=quiet)
    from flows.command.call import call_flow

    return call_flow(name, request, quiet=quiet)


def apply(
    file: Annotated[
        str, Parameter(help="YAML file of storages, accounts, families, watches, webhooks; - for standard input.")
    ],
    *,
    account: Annotated[str, Parameter(help="Account that acts.")] = "admin",
    plan_only: Annotated[bool, Parameter(help="Show what would change; change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Apply a catalogue file and report what changed; applied again, it changes nothing."""
    from flows import requests
    from flows.command.catalogue import read

    asked = {"catalogue": read(Path(file)), "account": account, "plan_only": plan_only}
    _call("apply_catalogue", requests.ApplyCatalogue.model_validate(asked), as_json)


def serve(
    *,
    port: Annotated[int, Parameter(help="Port of the Prefect server and its UI.")] = 4200,
    console_port: Annotated[int, Parameter(help="Port of the console.")] = 4201,
) -> None:
    """Run the Prefect server, a worker, the deployments and the console on loopback until Ctrl-C."""
    _serve("deployments.serve", port=port, console_port=console_port)


def worker(
    *,
    console_port: Annotated[int, Parameter(help="Port of the console.")] = 4201,
    console_host: Annotated[
        str, Parameter(help="Address that the console listens on; 0.0.0.0: all addresses of this host.")
    ] = "127.0.0.1",
) -> None:
    """Run a worker and the console on this host, for the server at PREFECT_API_URL and the catalog at IMAGEWRIGHT_CATALOG_URL, until Ctrl-C."""
    _serve("deployments.worker", "--console-host", console_host, console_port=console_port)


def _serve(module: str, *words: str, **ports: int) -> None:
    """Replace this process by a server program. Raises InvalidRequest for an invalid port."""
    for name, given in ports.items():
        if given not in PORT:
            raise InvalidRequest(name, given, f"{PORT.start} to {PORT.stop - 1}")
    # A Ctrl-C meanwhile is held back until the new program can handle it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    options = [word for name, port in ports.items() for word in (f"--{name.replace('_', '-')}", str(port))]
    _become(module, *words, *options)


def doctor(*, as_json: Json = False) -> None:
    """Check this host for what is missing, misconfigured, stale or unreachable, and say what to do; exit 1 if a check fails."""
    _become("deployments.doctor", *(["--json"] if as_json else []))


def backup(
    place: Annotated[
        str, Parameter(help="Folder or s3://bucket/prefix; each backup gets a folder of its own below it.")
    ],
    *,
    as_json: Json = False,
) -> None:
    """Back up the catalog, the keys of this home, the records of storages, and Prefect's database; images stay where they are."""
    _become("deployments.backup", "backup", place, *(["--json"] if as_json else []))


def restore(
    backup_: Annotated[
        str, Parameter(name="backup", help="A backup, or a folder of several, of which the newest is used.")
    ],
    *,
    replace: Annotated[bool, Parameter(negative="", help="Replace an existing catalog and Prefect database.")] = False,
    as_json: Json = False,
) -> None:
    """Restore the catalog, keys and Prefect's database from a backup; nothing may be running."""
    options = [*(["--replace"] if replace else []), *(["--json"] if as_json else [])]
    _become("deployments.backup", "restore", backup_, *options)


def migrate_home(*, as_json: Json = False) -> None:
    """Copy the SQLite catalog of this home into the empty PostgreSQL at IMAGEWRIGHT_CATALOG_URL; images stay where they are."""
    _become("deployments.backup", "migrate-home", *(["--json"] if as_json else []))


def _become(module: str, *arguments: str) -> None:
    """Replace this process by another of our programs, from a layer above the flows."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])  # noqa: S606


PLAIN: dict[str, Callable[..., None] | App] = {
    "login": login, "logout": logout, "whoami": whoami, "download": download, "identity": identity, "token": token,
    "serve": serve, "worker": worker, "doctor": doctor, "backup": backup, "restore": restore,
    "explain-chip": explain_chip, "apply": apply, "verify-lineage": verify_lineage, "migrate-home": migrate_home,
}  # fmt: skip
"""Commands that are neither operations nor reading."""


def run() -> None:
    """Run the command and end the process: 0 done, 1 failed, 2 wrong usage; errors on stderr as one sentence."""
    try:
        build_app(*sys.argv[1:2])(sys.argv[1:], exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except (ValidationError, CycloptsError) as error:
        fail(_wrong(error), WRONG_USAGE)
    except ImagewrightError as error:
        fail(str(error), WRONG_USAGE if isinstance(error, InvalidRequest) else FAILED)
    except BrokenPipeError:  # `imagewright images | head`: the reader is done, and Python would complain again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(UNREAD)
    except OSError as error:  # on this host: a full disk behind stdout, an unreadable folder
        where = error.filename or (_place_of(error) if error.errno == EINVAL else "")
        fail(f"{error.strerror or _one_line(error)}{f': {where}' if where else ''}", FAILED)
    except Exception as error:  # noqa: BLE001  # a bug is reported like any failure; the run's log has the rest
        fail(f"internal error: {type(error).__name__}: {_one_line(error)}", FAILED)
    except KeyboardInterrupt as stopped:
        adding = any(word.startswith("add-") for word in sys.argv[1:2])
        fail(f"interrupted{str(stopped) or (RESUMED if adding else '')}", INTERRUPTED)


def _wrong(error: ValidationError | CycloptsError) -> str:
    """Return one sentence that says what is wrong with a command line."""
    from flows.command.usage import usage_sentence
    from flows.requests.sentences import sentence

    cause = error if isinstance(error, ValidationError) else error.__cause__ or error.__context__
    return sentence(cause) if isinstance(cause, ValidationError) else usage_sentence(cast("CycloptsError", error))


def _place_of(error: OSError) -> str:
    """Return the code line of an "Invalid argument" error without a file name: its message alone helps nobody."""
    last = extract_tb(error.__traceback__)[-1]
    return f"asked for by {last.name}, line {last.lineno} of {last.filename}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
