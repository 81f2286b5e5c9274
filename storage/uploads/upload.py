"""What is announced of a file that a person sends."""

import json
import re
from datetime import datetime

from catalog.records import Door, Record
from catalog.rules.accounts.sharing import ADMIN
from catalog.rules.storages.sources import UPLOAD

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")  # a UUID as images have it


class Upload(Record):
    """What was announced. length in bytes; flow: that adds the image; request: of it, as JSON.

    identity: who sends it, None for the operators; door: by which it comes.
    """

    id: str
    length: int
    filename: str
    flow: str
    request: str
    created_at: datetime
    identity: str | None = None
    door: Door = "console"

    @property
    def owner(self) -> str:
        """The account that the image will belong to."""
        return str(json.loads(self.request).get("account", ADMIN))

    def is_for(self, account: str) -> bool:
        """Tell whether an account may read and discard it."""
        return account in (ADMIN, self.owner)


def url_of(upload_id: str) -> str:
    """Return the URL by which a flow reads an upload."""
    return f"{UPLOAD}://{upload_id}"
