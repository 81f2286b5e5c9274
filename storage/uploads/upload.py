"""The announcement of a file that a person uploads."""

import json
import re
from datetime import datetime

from catalog.records import Door, Record
from catalog.rules.accounts.sharing import ADMIN
from catalog.rules.storages.sources import UPLOAD

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")  # a UUID, as for images


class Upload(Record):
    """The announcement. length in bytes; flow: that adds the image; request: of the flow, as JSON.

    identity: the sender, None for the operators; door: the way it comes in.
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
