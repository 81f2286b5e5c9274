"""An add without Prefect around it, in a process of its own, to be killed and run again.

    python -m tests.faults.dying_arrival URL CREDENTIALS SETTINGS FOLDER

Lands the source in an ImageStore in FOLDER; prints the byte it goes on at, and the MD5 at its end.
"""

import sys

from catalog.settings import Settings
from storage.registry import open_image_storage
from storage.sources import open_source
from storage.transfer.arrival import Arrival
from storage.transfer.receive_buffer import ReceiveBuffer, place
from tests.storage.stores import record

LANDING = "killed"


def main() -> None:
    url, credentials, written, folder = sys.argv[1:]
    settings = Settings.model_validate_json(written)
    store = open_image_storage(record(f"file://{folder}"), settings=settings)
    source = open_source(url, settings, credentials=credentials or None)
    arrival = Arrival(
        {"images": store.landing(LANDING)},
        settings.max_virtual_size,
        received=ReceiveBuffer(place(settings, folder)),
    )
    info = source.probe()
    print(arrival.take_up(info), flush=True)
    arrival.pull(source, info, lambda _done, _total: None)
    print(arrival.finish().digests.md5)
    arrival.close()


if __name__ == "__main__":
    main()
