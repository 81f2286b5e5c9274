"""What a request names: images, and means that reach beyond the account that asks."""

from collections.abc import Sequence

from pydantic import BaseModel

from flows.requests.add import AddImage

SECRET = "{secret:"  # noqa: S105  # how a secret's place in a URL begins
FILE = "file:"
SINGLY = ("image_id", "a", "b")
"""Fields that name one image each."""
READ = ("image_path", "expected_checksum", "osv")
"""Fields that name what is read: a file, a list of checksums, or an export of advisories."""


def held(request: BaseModel) -> Sequence[BaseModel]:
    """Return the requests that one for many holds, none of any other."""
    return tuple(getattr(request, "requests", ()))


def images_named(request: BaseModel) -> Sequence[str]:
    """Return the ids of the images that a request works on; an add makes its own."""
    if isinstance(request, AddImage):
        return ()
    singly = (getattr(request, name, None) for name in SINGLY)
    return (*(one for one in singly if isinstance(one, str)), *getattr(request, "image_ids", ()))


def means_of_the_host(request: BaseModel) -> str:
    """Return the field by which a request reaches for what is the host's, not its account's; "" where none does.

    Whoever names a secret has it sent to a server of their choice; whoever names a file of the host reads it.
    """
    for name, value in request:
        if name == "credentials" and value is not None:
            return name
        if isinstance(value, str) and SECRET in value:
            return name
        if name in READ and FILE in str(value).lower():
            return name
    return ""
