"""Where images come from: one file a scheme."""

from storage.sources.masking import carries_secret, mask, split_urls
from storage.sources.opening import SCHEMES, open_plain, open_source
from storage.sources.sums import fetch_checksum

__all__ = ["SCHEMES", "carries_secret", "fetch_checksum", "mask", "open_plain", "open_source", "split_urls"]
