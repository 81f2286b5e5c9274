"""Files sent from people's computers, kept until their image is Ready: in a folder or their image's bucket."""

from storage.uploads.protocol import Buckets, Turn, UploadPlace
from storage.uploads.upload import ID, Upload, url_of
from storage.uploads.uploads import Uploads

__all__ = ["ID", "Buckets", "Turn", "Upload", "UploadPlace", "Uploads", "url_of"]
