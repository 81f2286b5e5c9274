"""The share of an image that consists of another one's chips, computed from the manifests alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from storage.imagestore.format.manifest import Pieces
from storage.imagestore.storage import ImageStore
from storage.protocols import ImageStorage

FEW = 4096
"""An image with more distinct chips keeps one in 16, chosen by digest and therefore the same ones for every image."""
ONE_OF = np.uint64(16)


@dataclass(frozen=True, slots=True)
class Sketch:
    """The chips of an image: 8-byte digest prefixes, sorted (n,), and lengths (n,). sampled: one in 16 is kept."""

    keys: npt.NDArray[np.uint64]
    lengths: npt.NDArray[np.uint64]
    sampled: bool

    def some(self) -> "Sketch":
        """Return the chips that a sampled sketch would keep."""
        if self.sampled:
            return self
        kept = self.keys % ONE_OF == 0
        return Sketch(self.keys[kept], self.lengths[kept], True)

    def share_of(self, other: "Sketch") -> float:
        """Return the part of this one's bytes that lies in the other's chips, 0 to 1; holes and repeats count once."""
        if other.sampled and not self.sampled:
            return self.some().share_of(other)
        whole = int(self.lengths.sum())
        return int(self.lengths[np.isin(self.keys, other.keys)].sum()) / whole if whole else 0.0


def sketch_of(pieces: Pieces) -> Sketch:
    """Return the sketch of an image from its manifest's pieces."""
    digests = np.ascontiguousarray(pieces.data_digests)
    keys, first = np.unique(digests[:, :8].copy().view(np.uint64).ravel(), return_index=True)
    made = Sketch(keys, pieces.lengths[~pieces.holes][first].astype(np.uint64), False)
    return made.some() if len(keys) > FEW else made


def sketch(storage: ImageStorage, image_id: str) -> Sketch | None:
    """Return the sketch of an image on a storage, None if it keeps no chips. Raises as its manifest does."""
    return sketch_of(storage.pieces(image_id)) if isinstance(storage, ImageStore) else None
