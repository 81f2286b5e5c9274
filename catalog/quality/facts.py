"""The measured facts of one image, as its quality suite sees them."""

from collections.abc import Iterable

from catalog.records import Record


class ImageFacts(Record):
    """One row with declared and measured values. Sizes in bytes, digests bare hex."""

    image_id: str
    name: str
    declared_format: str
    detected_format: str
    stored_format: str
    size_bytes: int
    announced_size_bytes: int  # as the source announced, or size_bytes if it did not
    stored_size_bytes: int  # as the storage describes its copy
    expected_stored_size_bytes: int  # size_bytes, or the converted file's size
    virtual_size_bytes: int
    max_virtual_size_bytes: int
    md5: str
    sha256: str
    stored_sha256: str  # as the storage's own description says
    expected_stored_sha256: str
    expected_checksum: str  # `algorithm:hex`, or the measured one if none was given
    measured_checksum: str  # of the same algorithm
    refusals: dict[str, str]  # findings that keep the image out of Ready: rule → sentence

    def row(self, rules: Iterable[str]) -> dict[str, object]:
        """Return the suite's columns: per rule its refusing sentence or nothing, and `safety` for all other rules."""
        known = {rule: self.refusals.get(rule, "") for rule in rules}
        others = "; ".join(sentence for rule, sentence in self.refusals.items() if rule not in known)
        return {**self.model_dump(exclude={"refusals"}), **known, "safety": others}
