"""The one disk in an archive, read in one pass: identified by a preceding OVF, else by its name, else by its head."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from storage.sources.packed.contents import Contents, is_document
from storage.sources.packed.feed import Feed
from storage.sources.streams import read_up_to

DOCUMENT_MAX = 1 << 20  # of an .ovf or .mf
MEMBERS_MAX = 4096  # in one archive: an appliance has a handful, a malicious server sends them forever
LOOK_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in an archive. refusal: rule and sentence, used if the file is wanted."""

    name: str
    size_bytes: int | None  # None: known only at its end
    refusal: tuple[str, str] | None = None


class Members(Protocol):
    """The regular files of an archive, in order."""

    feed: Feed

    def next(self) -> Member | None:
        """Go to the next file, skipping the rest of the current one; None at the end of the archive."""
        ...

    def readinto(self, buffer: memoryview, /) -> int:
        """Read bytes of the current file; 0 at its end. May be repeated after TransferInterrupted."""
        ...


class DiskInArchive:
    """The bytes of the only disk in an archive. Raises UnsafeImage if there is none, or more than one."""

    def __init__(self, members: Members) -> None:
        self._members = members
        self._contents = Contents(members.feed)
        self.torn = False  # interrupted between disks, where a read cannot be repeated
        self._inside, self._ended, self._head = False, False, b""
        self._count = 0

    @property
    def remarks(self) -> Sequence[str]:
        """Remarks for people about the archive, once it was read to its end."""
        return self._contents.remarks

    def readinto(self, buffer: memoryview, /) -> int:
        """Read available bytes of the disk; 0 only once the archive has been read to its end, and ever after."""
        while not self._ended:
            if self._inside and (size := self._of_disk(buffer)):
                self._contents.measure(buffer[:size])
                return size
            self.torn = True
            self._inside = self._advance()
            self._ended = not self._inside
            self.torn = False
        return 0

    def close(self) -> None:
        """Close the archive."""
        self._members.feed.close()

    def _of_disk(self, buffer: memoryview) -> int:
        if not self._head:
            return self._members.readinto(buffer)
        size = min(len(self._head), len(buffer))
        buffer[:size], self._head = self._head[:size], self._head[size:]
        return size

    def _advance(self) -> bool:
        """Go to the disk's first or next bytes; return False at the end of the archive."""
        if self._inside:
            self._contents.end_of_member()
        while (member := self._members.next()) is not None:
            self._count += 1
            if self._count > MEMBERS_MAX:
                raise self._members.feed.unsafe("members", f"the archive has more than {MEMBERS_MAX} members")
            if self._is_disk(member):
                self._contents.enter(member.name)
                if member.refusal:
                    raise self._members.feed.unsafe(*member.refusal)
                return True
        self._contents.end()
        return False

    def _is_disk(self, member: Member) -> bool:
        self._contents.see(member.name)
        if is_document(member.name):
            self._read_document(member)
            return False
        said = self._contents.says_disk(member.name)
        if said is not None or member.refusal or member.size_bytes == 0:
            return bool(said)
        self._head = read_up_to(self._members, LOOK_BYTES)
        if self._contents.looks_like_disk(self._head):
            return True
        self._head = b""
        return False

    def _read_document(self, member: Member) -> None:
        if member.refusal:
            raise self._members.feed.unsafe(*member.refusal)
        data = read_up_to(self._members, DOCUMENT_MAX + 1)
        if len(data) > DOCUMENT_MAX:
            raise self._members.feed.unsafe("record", f"{member.name[-80:]!r} is larger than 1 MiB")
        self._contents.take_document(member.name, data)
