"""Bring a catalog's database to the schema of this program: `python -m catalog.migrate [URL]`."""

import sys
from pathlib import Path

import sqlalchemy as sa

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(connection: sa.Connection, to: str = "head") -> None:
    """Run the migrations that are missing, inside the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def main(arguments: list[str]) -> int:
    """Create or upgrade the catalog named, or the one that the settings name."""
    from catalog.errors import ImagewrightError, InvalidRequest
    from catalog.opening import ALLOWED
    from catalog.schema import prepare
    from catalog.settings import load_settings
    from catalog.sql import connect, parse
    from catalog.tables import SCHEMA

    address = arguments[0] if arguments else load_settings().catalog_address
    try:
        url = parse(address)
        if url is None:
            raise InvalidRequest("catalog_url", address.partition("://")[0], ALLOWED)
        store = connect(url)
        prepare(store, upgrade_shared=True)
        print(f"{store.address}: schema {SCHEMA}")
    except ImagewrightError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
