"""What an identity sees: images that both its account and its token's scope allow, and things that belong to them."""

import json
from contextlib import suppress

from catalog.errors import ExportNotFound, ImageNotFound, VolumeNotFound
from catalog.records import ExportedImage, Image, ImageStorage, SignedIn, Volume
from catalog.repository.catalog import Catalog
from catalog.repository.reading.visibility import AccountView
from catalog.rules.accounts.roles import in_scope, is_limited, may, require, sees, sees_as
from catalog.rules.accounts.sharing import ADMIN
from storage.sources.masking import mask
from storage.uploads import Upload

NO_IMAGE = "00000000-0000-0000-0000-000000000000"


class Visibility:
    """The view of a caller. account: whose view it is; an administrator may take any account's."""

    def __init__(self, catalog: Catalog, who: SignedIn, account: str | None = None) -> None:
        require(who, "read", "read")
        self.catalog, self.who = catalog, who
        self.account = account if account is not None and who.identity.role == ADMIN else sees_as(who)
        self._view = AccountView(catalog, self.account)
        self._known: dict[str, bool] = {}

    def image(self, image_id: str) -> Image:
        """Return a visible image. Raises ImageNotFound, with the same sentence whether the image exists or not."""
        image = self.catalog.image(image_id, account=self.account)
        if not self.sees(image):
            raise ImageNotFound(image_id)
        return image

    def latest(self, family: str, architecture: str) -> Image:
        """Return the latest image of a family that is seen. Raises ImageNotFound, InvalidRequest."""
        image = self.catalog.latest(family, architecture, account=self.account)
        if not self.sees(image):
            raise ImageNotFound("latest", f"of family {family!r} for {architecture}")
        return image

    def sees(self, image: Image) -> bool:
        """Tell whether the token's scope allows an image that the account sees."""
        return sees(self.who.scope, image)

    def sees_family(self, family: str) -> bool:
        """Tell whether a family is visible: to all but callers whose scope is limited to other things."""
        return not is_limited(self.who.scope) or family in self.who.scope.families

    def of(self, image_id: str | None) -> bool:
        """Tell whether things of an image are visible; things without an image are visible to administrators only."""
        if not is_limited(self.who.scope):
            return self._view.of(image_id)
        if image_id is None:
            return False
        if image_id not in self._known:
            self._known[image_id] = self._sees_of(image_id)
        return self._known[image_id]

    def _sees_of(self, image_id: str) -> bool:
        try:
            return bool(self.image(image_id))
        except ImageNotFound:
            return False

    def export(self, export_id: str) -> ExportedImage:
        """Return a visible export. Raises ExportNotFound, after the same number of queries whether it exists or not."""
        found: ExportedImage | None = None
        with suppress(ExportNotFound):
            found = self.catalog.exported(export_id)
        if not self.of(found.image_id if found else NO_IMAGE) or found is None:
            raise ExportNotFound(export_id)
        return found

    def volume(self, volume_id: str) -> Volume:
        """Return a visible volume. Raises VolumeNotFound, as `export` does."""
        found = self.catalog.volume(volume_id)
        if not self.owns(found.owner, found.image_id):
            raise VolumeNotFound(volume_id)
        return found

    def owns(self, owner: str, image_id: str) -> bool:
        """Tell whether a thing with an owner of its own, such as a volume, is visible."""
        mine = self.account in (ADMIN, owner)
        return mine and (not is_limited(self.who.scope) or self.of(image_id))


def storage_as_seen(who: SignedIn, storage: ImageStorage) -> ImageStorage:
    """Return an image storage as a caller sees it; only administrators see names of secrets, and secrets in addresses."""
    if may(who, "administer"):
        return storage
    endpoint = mask(storage.endpoint) if storage.endpoint else storage.endpoint
    return storage.model_copy(update={"credentials": None, "endpoint": endpoint, "url": mask(storage.url)})


def sees_upload(who: SignedIn, upload: Upload) -> bool:
    """Tell whether an upload belongs to the caller's account and becomes an image that their token's scope allows."""
    said = json.loads(upload.request)
    return upload.is_for(sees_as(who)) and in_scope(who.scope, str(said.get("name", "")), said.get("family"))
