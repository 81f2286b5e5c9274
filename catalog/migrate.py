"""Bring a catalog's database to the schema of this program: `python -m catalog.migrate [URL]`."""

import sys


def main(arguments: list[str]) -> int:
    """Create or upgrade the catalog at a URL, by default the one in the settings."""
    from catalog.errors import ImagewrightError, InvalidRequest
    from catalog.privacy import close
    from catalog.settings import load_settings
    from catalog.store.schema import prepare
    from catalog.store.sql import ALLOWED, connect, parse
    from catalog.store.tables import SCHEMA

    settings = load_settings()
    address = arguments[0] if arguments else settings.catalog_address
    try:
        close(settings)
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
