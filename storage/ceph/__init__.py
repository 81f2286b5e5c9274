"""Images in a Ceph pool. `CephStorage` is what others use; README.md says how it lies there."""

from storage.ceph.storage import CephStorage

__all__ = ["CephStorage"]
