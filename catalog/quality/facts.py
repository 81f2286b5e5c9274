"""The measured facts of one image, as its quality suite sees them."""

from catalog.records import Record


class ImageFacts(Record):
    """One row: what was declared beside what was measured. Sizes in bytes, digests bare hex."""

    image_id: str
    name: str
    declared_format: str
    detected_format: str
    stored_format: str
    size_bytes: int
    announced_size_bytes: int  # what the source said, or size_bytes where it said nothing
    stored_size_bytes: int  # as the storage describes its copy
    expected_stored_size_bytes: int  # size_bytes, or the converted file's size
    virtual_size_bytes: int
    max_virtual_size_bytes: int
    md5: str
    sha256: str
    stored_sha256: str  # as the storage's own description says
    expected_stored_sha256: str
    expected_checksum: str  # `algorithm:hex`, or the measured one where none was given
    measured_checksum: str  # of the same algorithm
    safety_errors: int
    boot_errors: int
