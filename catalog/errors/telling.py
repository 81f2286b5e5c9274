"""Translate internal names in error sentences for people: locks, lock holders, places."""

TOLD = 400
"""The most characters of a given value that a sentence repeats."""


def doing(lock: str) -> str:
    """Describe the work done under a lock, or in a work folder that has a lock's name."""
    kind, colon, subject = lock.partition(":")
    if colon and kind == "export":
        return f"image {subject} is being exported"
    if colon and kind == "cache":
        image_id, _, storage = subject.partition("@")
        return f"image {image_id} is being cached on primary storage {storage!r}"
    if lock.startswith("sync-"):
        return "a batch of images is being synchronised from the same image storage"
    return f"image {_image(lock)} is being worked on"


def arriving(landing: str) -> str:
    """Describe what arrives in a landing on an image storage: an image, or a batch of a sync."""
    return "a batch of synchronised images" if landing.startswith("sync-") else f"image {_image(landing)}"


def _image(landing: str) -> str:
    """Return the image id of a landing, also of a conversion's, which is named `<id>.<what for>`."""
    return landing.partition(".")[0]


def worker(holder: str) -> str:
    """Describe the holder of a lock: a run by its id, a call from Python by its process."""
    run, at, place = holder.partition("@")
    host, colon, process = place.partition(":")
    if not (at and colon):
        return holder or "another run"
    return f"process {process.partition(':')[0]} on {host}" if run == "call" else f"run {run} on {host}"


def place(storage: str) -> str:
    """Describe an image storage by its name, or a folder by its path."""
    return f"folder {storage}" if storage.startswith("/") else f"image storage {storage!r}"


def beginning(text: str) -> str:
    """Return a given value for a sentence, cut after TOLD characters."""
    return text if len(text) <= TOLD else f"{text[:TOLD]}…"
