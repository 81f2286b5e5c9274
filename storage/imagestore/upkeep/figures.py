"""The bytes a store saves, by cause, computed from the columns of the index without reading a chip."""

from typing import NamedTuple

import numpy as np

from storage.imagestore.format.index import let_go
from storage.imagestore.reading.view import View


class Saved(NamedTuple):
    """Saved bytes.

    by_dedup: chips shared by several images, and zeros; by_compaction: saved by leaning chains, estimated.
    """

    by_dedup: int
    by_compression: int
    by_compaction: int


def saved(view: View, logical_bytes: int) -> Saved:
    """Return the bytes saved on the images' total.

    The estimate assumes that leaning chips would compress alone like standalone ones do. Chips that nothing needs count
    until they are reclaimed.
    """
    alone_raw = alone_stored = leaning_raw = leaning_stored = 0
    for table in view.tables:
        leaning = table.leaning
        raw, stored = int(table.raw.sum(dtype=np.uint64)), int(table.stored.sum(dtype=np.uint64))
        lean_raw = int(table.raw[leaning].sum(dtype=np.uint64))
        lean_stored = int(table.stored[leaning].sum(dtype=np.uint64))
        leaning_raw, leaning_stored = leaning_raw + lean_raw, leaning_stored + lean_stored
        alone_raw, alone_stored = alone_raw + raw - lean_raw, alone_stored + stored - lean_stored
    let_go(view.tables)
    spared = max(0, leaning_raw * alone_stored // max(1, alone_raw) - leaning_stored)
    raw, stored = alone_raw + leaning_raw, alone_stored + leaning_stored
    return Saved(max(0, logical_bytes - raw), max(0, raw - stored - spared), spared)
