"""Images in a Ceph pool. `CephStorage` is the public class; README.md describes the layout."""

from storage.ceph.storage import CephStorage

__all__ = ["CephStorage"]
