"""Moving images between image storages."""

from typing import Literal

from pydantic import Field

from flows.requests.form import ChangingRequest, Moment, at


class SyncImages(ChangingRequest):
    """Synchronise images from one ImageStore to another; only chips that the target lacks travel."""

    source: str = Field(**at(0, "Source", "Name of the ImageStore to read from."))
    target: str = Field(**at(1, "Target", "Name of the ImageStore to bring up to date."))
    image_ids: tuple[str, ...] = Field(
        (), **at(2, "Images", "Ids of the images; empty: all that match the name pattern.")
    )
    name_pattern: str = Field("*", **at(3, "Name pattern", "Shell pattern of image names, such as debian-*."))
    family: str | None = Field(None, **at(4, "Family", "Only images of this family."))
    owner: str | None = Field(None, **at(5, "Owner", "Only images of this account."))
    changed_since: Moment | None = Field(
        None,
        **at(
            6,
            "Changed since",
            "Only images whose record changed at or after this moment, UTC unless a zone is given.",
        ),
    )
    bandwidth_bytes_s: int = Field(
        0, **at(7, "Bandwidth", "Cap on what is read from the source, bytes per second; 0: none.", ge=0)
    )
    deletion: Literal["keep", "mirror"] = Field(
        "keep",
        **at(
            8,
            "Deletion policy",
            "mirror: replicas on the target of images that the source holds and that no longer match are deleted.",
        ),
    )


class ChangeImageStorage(ChangingRequest):
    """Move an image to another image storage; the raw data stays on the source as a leftover until cleaned up."""

    image_id: str = Field(**at(0, "Image", "Id of the image."))
    source: str = Field(**at(1, "Source", "Image storage that holds it now."))
    target: str = Field(**at(2, "Target", "Image storage that shall hold it."))


class CleanUpLeftovers(ChangingRequest):
    """Clean up raw data kept on a source after a change of storage. Can't be undone."""

    image_storage: str = Field(
        "", **at(0, "Image Storage", "Storage whose leftovers are cleaned up; empty: all storages.")
    )
    leftover_ids: tuple[str, ...] = Field((), **at(1, "Leftovers", "Ids; empty: all of that storage."))
    approve: Literal["ask", "yes"] = Field(
        "ask", **at(2, "Approve", "ask: the run waits for a person; yes: go ahead.")
    )
