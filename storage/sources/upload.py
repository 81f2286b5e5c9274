"""upload:// sources: what a person sent to the console, `upload://<id>`."""

from catalog.errors import SourceNotFound, UploadNotFound
from catalog.settings import Settings
from storage.protocols import SourceInfo
from storage.sources.credentials import Credentials
from storage.sources.file import FileSource
from storage.sources.urls import SourceUrl
from storage.uploads import Uploads


class UploadSource(FileSource):
    """A whole upload; one that still comes is nothing to fetch."""

    def __init__(
        self, url: SourceUrl, settings: Settings, credentials: Credentials, source_address: str | None
    ) -> None:
        super().__init__(url, settings, credentials, source_address)
        self.roots = (settings.uploads_folder,)
        self._uploads = Uploads(settings)

    @property
    def path(self) -> str:
        """Where the upload lies on this host."""
        try:
            return str(self._uploads.data(self.url.host))
        except UploadNotFound as error:
            raise SourceNotFound(self.url.masked, str(error)) from error

    def describe_open(self, number: int) -> SourceInfo:
        """Return what identifies the open file. Raises SourceNotFound if it is not whole."""
        info = super().describe_open(number)
        try:
            length = self._uploads.get(self.url.host).length
        except UploadNotFound as error:
            raise SourceNotFound(self.url.masked, str(error)) from error
        if info.size_bytes != length:
            raise SourceNotFound(self.url.masked, f"only {info.size_bytes} of {length} bytes were sent")
        return info
