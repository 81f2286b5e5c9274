"""Write exported documents, the event log and lineage, to a file or an object store, compressed by their name."""

from collections.abc import Iterable

from catalog.errors import ImagewrightError


class DocumentNotWritten(ImagewrightError):
    """A document could not be written where it was asked for."""

    def __init__(self, target: str, reason: str) -> None:
        self.target, self.reason = target, reason
        super().__init__(
            f"output: {target} can't be written: {reason}; give a path or a URL such as s3://bucket/key.json.gz"
        )


def write_document(target: str, lines: Iterable[str]) -> int:
    """Write lines to a path or URL that smart_open knows (s3://, ftp://, …); return how many there were.

    A name ending in .gz, .bz2, .xz or .zst selects compression. S3 credentials come from the environment or its files.
    """
    import smart_open  # takes 0.1 s: not for commands that only print
    from botocore.exceptions import BotoCoreError, ClientError

    from storage.sources import mask

    count = 0
    try:
        with smart_open.open(target, "w", encoding="utf-8") as file:
            for line in lines:
                file.write(line + "\n")
                count += 1
    except ImagewrightError:
        raise  # an error of the catalog, which the lines come from
    except (OSError, ValueError, RuntimeError, BotoCoreError, ClientError) as error:
        raise DocumentNotWritten(mask(target), " ".join(str(error).split())) from error
    return count
