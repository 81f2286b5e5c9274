"""An add in a process of its own that is killed at the Nth change it makes to its image storage.

    python -m tests.faults.dying_add FOLDER N REQUEST

Prints how many changes it made if it lives to its end. A change is a file opened for writing, named, removed or a folder
made below FOLDER, as Python's audit events tell: nothing of ours is replaced.
"""

import json
import os
import signal
import sys

CHANGES = ("os.rename", "os.remove", "os.link", "os.mkdir", "os.truncate")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Death:
    """Counts changes below a folder and kills the process just before number `at`."""

    def __init__(self, folder: str, at: int) -> None:
        self.folder, self.at, self.count = folder, at, 0

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._changes(event, arguments):
            self.count += 1
            if self.count == self.at:
                os.kill(os.getpid(), signal.SIGKILL)

    def _changes(self, event: str, arguments: tuple[object, ...]) -> bool:
        if event == "open":
            return self._within(arguments) and isinstance(arguments[2], int) and bool(arguments[2] & WRITING)
        return event in CHANGES and self._within(arguments)

    def _within(self, arguments: tuple[object, ...]) -> bool:
        return str(arguments[0]).startswith(self.folder)


def main() -> None:
    folder, at, request = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    from flows import add_volume_image
    from flows.requests import AddVolumeImage

    death = Death(folder, at)
    sys.addaudithook(death)
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        add_volume_image(AddVolumeImage.model_validate(request))
    print(death.count)


if __name__ == "__main__":
    main()
