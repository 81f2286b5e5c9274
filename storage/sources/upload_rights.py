"""Whose an upload is, asked before anything is begun with it: what is never begun can't fail and clean up."""

from catalog.errors import InvalidRequest, UploadNotFound
from catalog.records import Image
from catalog.rules.storages.sources import UPLOAD
from storage.sources.masking import split_urls
from storage.uploads import Upload, Uploads


def check_upload(uploads: Uploads, draft: Image) -> int:
    """Return the bytes of the upload that an image is to be made of, 0 where it comes from elsewhere.

    Raises StorageUnavailable where it lies in a bucket that does not answer now, UploadNotFound also for an upload of another account, InvalidRequest for one that is not whole, and for an id
    that the image of another account's upload will have.
    """
    urls = split_urls(draft.source)
    _check_id(uploads, draft)
    if not any(url.lower().startswith(f"{UPLOAD}:") for url in urls):
        return 0
    scheme, _, upload_id = draft.source.partition("://")
    if len(urls) > 1 or scheme != UPLOAD:
        raise InvalidRequest("image_path", draft.source, f"an upload stands alone: {UPLOAD}://<id>")
    upload = _own(uploads, upload_id, draft.owner)
    if (sent := uploads.offset(upload.id)) != upload.length:
        allowed = f"a whole upload: {sent} of {upload.length} bytes were sent; go on with it on the console"
        raise InvalidRequest("image_path", draft.source, allowed)
    return upload.length


def _own(uploads: Uploads, upload_id: str, account: str) -> Upload:
    upload = uploads.get(upload_id)
    if not upload.is_for(account):
        raise UploadNotFound(upload_id)  # another's does not exist for it
    return upload


def _check_id(uploads: Uploads, draft: Image) -> None:
    """Refuse the id that an upload's image will have, unless this is that image."""
    try:
        upload = uploads.get(draft.id)
    except UploadNotFound:
        return
    if not upload.is_for(draft.owner):
        raise InvalidRequest("image_id", draft.id, "an id of its own: this one is taken")
