"""An add without Prefect around it, in a process of its own, to be killed and made again."""

from multiprocessing.connection import Connection

from catalog.settings import Settings
from storage.registry import open_image_storage
from storage.sources import open_source
from storage.transfer.arrival import Arrival
from storage.transfer.receive_buffer import ReceiveBuffer, place
from tests.storage.stores import record

LANDING = "killed"


def arrive(url: str, credentials: str | None, settings: Settings, folder: str, said: Connection) -> None:
    """Land a source in an ImageStore in a folder; say at which byte it goes on, and at the end the MD5."""
    store = open_image_storage(record(f"file://{folder}"), settings=settings)
    source = open_source(url, settings, credentials=credentials)
    arrival = Arrival(
        {"images": store.landing(LANDING)},
        settings.max_virtual_size,
        received=ReceiveBuffer(place(settings, folder)),
    )
    info = source.probe()
    said.send(arrival.take_up(info))
    arrival.pull(source, info, lambda _done, _total: None)
    said.send(arrival.finish().digests.md5)
    arrival.close()
