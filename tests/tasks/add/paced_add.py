"""Bring an image into the storage `default` at the pace of its cap, in a process of its own.

python -m tests.tasks.paced_add URL
"""

import sys

from catalog import open_catalog
from catalog.settings import load_settings
from storage.sources import open_source
from storage.transfer.bandwidth import pace_into
from storage.transfer.digests import Digester
from storage.transfer.transfer import transfer


def main() -> None:
    settings = load_settings()
    source, digester = open_source(sys.argv[1], settings), Digester()
    with open_catalog(settings.catalog_address) as catalog, source.open(0, source.probe()) as stream:
        transfer(stream, [], digester, pace=pace_into(catalog, ("default",)))
    digester.close()


if __name__ == "__main__":
    main()
