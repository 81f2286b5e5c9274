"""Sources of images: one file or folder per scheme."""

from storage.sources.checksums.published import fetch_checksum
from storage.sources.masking import carries_secret, mask, split_urls
from storage.sources.registry import OPENERS, open_plain, open_source

__all__ = ["OPENERS", "carries_secret", "fetch_checksum", "mask", "open_plain", "open_source", "split_urls"]
