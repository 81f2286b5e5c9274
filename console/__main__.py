"""`python -m console [--host HOST] [--port PORT]`: serve the console until Ctrl-C. `imagewright serve` does it as well."""

import argparse
import sys

from catalog.settings import load_settings
from flows.environment import prepare


def main() -> None:
    """Serve; the password is the one of Prefect's API, where it has one."""
    parser = argparse.ArgumentParser(prog="python -m console", description=main.__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4201)
    options = parser.parse_args()
    settings = load_settings()
    if prepare(settings) is None:
        sys.exit("imagewright: the console starts runs on a Prefect server; `imagewright serve` starts both")

    # What follows reads the environment when it is imported.
    import uvicorn
    from prefect.settings import get_current_settings

    from console.app import create_app

    secret = get_current_settings().api.auth_string
    app = create_app(settings, secret.get_secret_value() if secret else "")
    uvicorn.run(app, host=options.host, port=options.port, log_level="warning", server_header=False)


if __name__ == "__main__":
    main()
