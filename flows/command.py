"""The `imagewright` command: every flow is a subcommand generated from its request model, plus reading commands."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from catalog.errors import ImagewrightError, InvalidRequest
from flows import FLOWS, requests
from flows.cli import INTERRUPTED
from flows.output import failures, print_json, print_result
from flows.reading import READING
from flows.requests import form
from flows.sentences import sentence, usage_sentence

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print exactly one JSON document.")]
FAILED, WRONG_USAGE, UNREAD = 1, 2, 141
LAST = 99
PORT = range(1, 1 << 16)
RESUMED = "; what was kept is resumed from when the same image_id is added again"


def request_model(flow_name: str) -> type[requests.Request]:
    """Return the request model of a flow: its name in CamelCase."""
    model: type[requests.Request] = getattr(requests, "".join(part.title() for part in flow_name.split("_")))
    return model


def build_app() -> App:
    """Return the command with all its subcommands."""
    app = App(name="imagewright", help="The life of VM and cloud images: add, prove, deduplicate, move, hand out.",
              result_action="return_value", suppress_keyboard_interrupt=False)  # fmt: skip
    app.register_install_completion_command()
    for name in FLOWS:
        app.command(_flow_command(name), name=name.replace("_", "-"))
    for name, command in READING.items():
        app.command(command, name=name)
    app.command(adopt)
    app.command(serve)
    return app


def _flow_command(name: str) -> Callable[..., None]:
    model = request_model(name)
    _arrange(model)

    def command(request: Any, *, as_json: bool = False) -> None:
        _call(name, request, as_json)

    if not any(field.is_required() for field in model.model_fields.values()):
        command.__defaults__ = (model(),)
    command.__doc__ = model.__doc__
    command.__annotations__ = {
        "request": Annotated[model, Parameter(name="*")],
        "as_json": Json,
        "return": None,
    }
    return command


def _arrange(model: type[requests.Request]) -> None:
    """Put the options into the order of the form, what has to be given first: only that may be written without its name.

    Otherwise a word too many would become the account, which is the first field of every request.
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


def _call(name: str, request: requests.Request, as_json: bool) -> None:
    from flows.calling import call_flow

    result = call_flow(name, request, quiet=as_json)
    print_json(result) if as_json else print_result(result)
    if failed := failures(result):
        fail(f"{name.replace('_', '-')} {failed}", FAILED)


def adopt(
    image_storage: Annotated[str, Parameter(help="Name of the storage to adopt from.")],
    *,
    account: Annotated[str, Parameter(help=form.Account)] = "admin",
    plan_only: Annotated[bool, Parameter(help=form.PlanOnly)] = False,
    as_json: Json = False,
) -> None:
    """Rebuild the catalog's image rows from what an image storage says about itself: `adopt-storage`, shorter."""
    request = requests.AdoptStorage(image_storage=image_storage, account=account, plan_only=plan_only)
    _call("adopt_storage", request, as_json)


def serve(
    *,
    port: Annotated[int, Parameter(help="Of the Prefect server and its UI.")] = 4200,
    console_port: Annotated[int, Parameter(help="Of the console.")] = 4201,
) -> None:
    """Run the Prefect server, a worker, the deployments and the console on loopback until Ctrl-C."""
    for name, given in {"port": port, "console_port": console_port}.items():
        if given not in PORT:
            raise InvalidRequest(name, given, f"{PORT.start} to {PORT.stop - 1}")
    # A Ctrl-C meanwhile waits until what is started can take it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    ports = ["--port", str(port), "--console-port", str(console_port)]
    os.execv(sys.executable, [sys.executable, "-P", "-m", "deployments.serve", *ports])  # noqa: S606


def run() -> None:
    """Run the command and end the process: 0 done, 1 failed, 2 wrong usage; errors on stderr as one sentence."""
    try:
        build_app()(sys.argv[1:], exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except ValidationError as error:
        fail(sentence(error), WRONG_USAGE)
    except CycloptsError as error:
        cause = error.__cause__ or error.__context__
        fail(sentence(cause) if isinstance(cause, ValidationError) else usage_sentence(error), WRONG_USAGE)
    except ImagewrightError as error:
        fail(str(error), WRONG_USAGE if isinstance(error, InvalidRequest) else FAILED)
    except (
        BrokenPipeError
    ):  # `imagewright images | head`: whoever read has enough, and Python would say so again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(UNREAD)
    except OSError as error:  # of this host: a full disk behind stdout, a folder that may not be read
        where = f": {error.filename}" if error.filename else ""
        fail(f"{error.strerror or _one_line(error)}{where}", FAILED)
    except Exception as error:  # noqa: BLE001  # a defect of ours is told like any failure; the run's log has the rest
        fail(f"internal error: {type(error).__name__}: {_one_line(error)}", FAILED)
    except KeyboardInterrupt:
        adding = any(word.startswith("add-") for word in sys.argv[1:2])
        fail(f"interrupted{RESUMED if adding else ''}", INTERRUPTED)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def fail(message: str, code: int) -> None:
    """Say why on stderr and end the process."""
    print(f"imagewright: {message}", file=sys.stderr)
    sys.exit(code)
