"""`python -m console [--host HOST] [--port PORT]`: serve the console until Ctrl-C. `imagewright serve` does it as well."""

import argparse
import os
import sys

from catalog.loading import loading
from catalog.settings import load_settings
from console.serving import be_impatient, run
from flows.server.environment import prepare
from flows.server.same_catalog import OtherCatalog, require_same_catalog


def main() -> None:
    """Serve; the password is the one of Prefect's API, where it has one."""
    parser = argparse.ArgumentParser(prog="python -m console", description=main.__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4201)
    options = parser.parse_args()
    be_impatient()
    settings = load_settings()
    if prepare(settings) is None:
        sys.exit("imagewright: the console starts runs on a Prefect server; `imagewright serve` starts both")
    try:
        require_same_catalog(settings, os.environ)
    except OtherCatalog as error:
        sys.exit(f"imagewright: {error}")

    with loading(for_good=True):  # these modules read the environment when imported
        from prefect.settings import get_current_settings

        from console.app import create_app

    secret = get_current_settings().api.auth_string
    app = create_app(settings, secret.get_secret_value() if secret else "")
    run(app, options.host, options.port, settings)


if __name__ == "__main__":
    main()
