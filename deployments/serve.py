"""`imagewright serve`, `make serve`: Prefect server, worker, deployments and console on loopback of one machine."""

import argparse
import asyncio
import contextlib
import os
import secrets
import sys
import threading
import time

from catalog import open_catalog, privacy
from catalog.privacy import make_folder
from catalog.settings import Settings, load_settings
from deployments.processes import HOST, listens, require_free, running, until_told, wait_until, watch
from flows.server.embedded import answers
from flows.server.environment import QUIET, ServerAddress, address_file, logs_of, write_address
from flows.server.password import set_password, where_it_lies
from flows.server.same_catalog import identity, remember_server
from tasks.hosts.beat import beating

LINK_BYTES = 32


def main() -> None:
    """Run until Ctrl-C or SIGTERM; a process that dies takes the others with it and its log is named."""
    parser = argparse.ArgumentParser(prog="imagewright serve", description=main.__doc__)
    parser.add_argument("--port", type=int, default=4200)
    parser.add_argument("--console-port", type=int, default=4201)
    options = parser.parse_args()
    settings = load_settings()
    with until_told():
        serve(settings, options.port, options.console_port)


def serve(settings: Settings, port: int, console_port: int) -> None:
    """Start everything, print the addresses, and watch the processes. Exits with a sentence if a port is taken."""
    _check_free(port, console_port)
    privacy.close(settings)
    url = f"http://{HOST}:{port}/api"
    environment = {
        **QUIET,
        **logs_of(settings),
        **os.environ,
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
    }
    given = set_password(settings, environment)
    os.environ.update(environment)
    logs = settings.home / "logs"
    make_folder(logs)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            running("server", logs, environment, "flows.server.app", "--host", HOST, "--port", str(port))
        )
        wait_until(lambda: answers(port), server, "server", logs)
        _apply()
        remember_server(settings, url)
        worker = stack.enter_context(running("worker", logs, environment, "deployments.worker.workers"))
        console = stack.enter_context(
            running("console", logs, environment, "console", "--host", HOST, "--port", str(console_port))
        )
        wait_until(lambda: listens(console_port), console, "console", logs)
        address = _address(settings, port, console_port)
        write_address(address_file(settings), address)
        stack.callback(address_file(settings).unlink, missing_ok=True)
        first = f"first person   {address.setup} (once, on this machine)\n" if address.setup else ""
        print(
            f"console        {address.console}\nAPI            {address.api}\nPrefect UI     {address.prefect}\n{first}"
            f"sign in        with {where_it_lies(settings, given)} (user:password)\n"
            f"logs           {logs}\nstop with Ctrl-C",
            flush=True,
        )
        threading.Thread(target=_warn_when_overdue, daemon=True).start()
        stack.enter_context(beating(settings))
        watch({"server": server, "worker": worker, "console": console}, logs)


def _address(settings: Settings, port: int, console_port: int) -> ServerAddress:
    """Return all addresses, with the link that creates the first administrator while there is no person."""
    console = f"{'https' if settings.speaks_https else 'http'}://{HOST}:{console_port}"
    with open_catalog(settings.catalog_address) as catalog:
        setup = "" if catalog.has_person() else f"{console}/setup#{secrets.token_urlsafe(LINK_BYTES)}"
    return ServerAddress(
        api_url=f"http://{HOST}:{port}/api",
        pid=os.getpid(),
        catalog=identity(settings.catalog_address),
        prefect=f"http://{HOST}:{port}",
        console=console,
        api=f"{console}/api/v1",
        setup=setup,
    )


def _check_free(port: int, console_port: int) -> None:
    """Exit if a port is in use: the deployments would be written to somebody else's server."""
    if port == console_port:
        sys.exit(f"imagewright: --port and --console-port are both {port}; give two different ports")
    require_free({"--port": port, "--console-port": console_port})


def _apply() -> None:
    from deployments.apply import apply

    print(f"deployments    {', '.join(asyncio.run(apply()))}", flush=True)


def _warn_when_overdue() -> None:
    """Warn on stderr every ten minutes while no recovery runs, once the first recovery is overdue."""
    from flows.registry import row_of
    from flows.requests import RecoverRuns
    from tasks.upkeep.overdue import LATE, recovery_overdue

    while True:
        time.sleep(LATE.total_seconds())
        if late := recovery_overdue(row_of(RecoverRuns).deployment):
            print(f"imagewright: {late}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
