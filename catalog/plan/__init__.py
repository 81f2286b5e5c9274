"""What operations would do: snapshots in, plans out, nothing else. A small loop elsewhere applies the actions.

How catalog and storages differ is in `catalog.drift`.
"""

from catalog.plan.expunge import plan_expunge, plan_purge
from catalog.plan.leftovers import plan_leftovers
from catalog.plan.move import plan_move
from catalog.plan.sync import plan_sync

__all__ = [
    "plan_expunge",
    "plan_leftovers",
    "plan_move",
    "plan_purge",
    "plan_sync",
]
