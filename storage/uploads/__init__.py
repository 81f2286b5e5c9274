"""Files that people send from their own computers, kept until their image is Ready: in a folder, or where their image will lie."""

from storage.uploads.protocol import Buckets, Turn, UploadPlace
from storage.uploads.upload import ID, Upload, url_of
from storage.uploads.uploads import Uploads

__all__ = ["ID", "Buckets", "Turn", "Upload", "UploadPlace", "Uploads", "url_of"]
