"""What operations would do: snapshots in, plans out, nothing else. A small loop elsewhere applies the actions."""

from catalog.plan.expunge import plan_expunge, plan_purge
from catalog.plan.leftovers import plan_leftovers
from catalog.plan.move import plan_move
from catalog.plan.reconcile import Inventory, plan_reconcile
from catalog.plan.sync import plan_sync

__all__ = [
    "Inventory",
    "plan_expunge",
    "plan_leftovers",
    "plan_move",
    "plan_purge",
    "plan_reconcile",
    "plan_sync",
]
