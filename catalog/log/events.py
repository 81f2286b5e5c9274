"""Names of events: of entries in the catalog's log, and of events sent to Prefect."""

from collections.abc import Mapping

IMAGE_ADDED = "imagewright.image.added"
IMAGE_ADDING = "imagewright.image.adding"
IMAGE_ADOPTED = "imagewright.image.adopted"
IMAGE_BOOT_CHECKED = "imagewright.image.boot_checked"
IMAGE_CACHED = "imagewright.image.cached"
IMAGE_CANCELLED = "imagewright.image.cancelled"
IMAGE_DAMAGED = "imagewright.image.damaged"
IMAGE_DELETED = "imagewright.image.deleted"
IMAGE_DISABLED = "imagewright.image.disabled"
IMAGE_EDITED = "imagewright.image.edited"
IMAGE_ENABLED = "imagewright.image.enabled"
IMAGE_EXPORT_DELETED = "imagewright.image.export_deleted"
IMAGE_EXPORT_PROVEN = "imagewright.image.export_proven"
IMAGE_EXPORTED = "imagewright.image.exported"
IMAGE_EXPUNGED = "imagewright.image.expunged"
IMAGE_FAILED = "imagewright.image.failed"
IMAGE_HEALED = "imagewright.image.healed"
IMAGE_INSPECTED = "imagewright.image.inspected"
IMAGE_MOVE_ENDED = "imagewright.image.move_ended"
IMAGE_MOVE_FAILED = "imagewright.image.move_failed"
IMAGE_MOVED = "imagewright.image.moved"
IMAGE_MOVING = "imagewright.image.moving"
IMAGE_PROVENANCE = "imagewright.image.provenance"
IMAGE_QUARANTINED = "imagewright.image.quarantined"
IMAGE_READY = "imagewright.image.ready"
IMAGE_RECOVERED = "imagewright.image.recovered"
IMAGE_RESUMED = "imagewright.image.resumed"
IMAGE_SHARED = "imagewright.image.shared"
IMAGE_STAYED = "imagewright.image.stayed"
IMAGE_SYNC_FAILED = "imagewright.image.sync_failed"
IMAGE_SYNCED = "imagewright.image.synced"
IMAGE_UNCACHED = "imagewright.image.uncached"
IMAGE_WAITING = "imagewright.image.waiting"

REPLICA_ADDED = "imagewright.replica.added"  # logged for the first save of a replica
REPLICA_ADOPTED = "imagewright.replica.adopted"
REPLICA_DAMAGED = "imagewright.replica.damaged"
REPLICA_REPAIRED = "imagewright.replica.repaired"
REPLICA_UNMIRRORED = "imagewright.replica.unmirrored"
REPLICA_VERIFIED = "imagewright.replica.verified"

LEFTOVER_CLEANED = "imagewright.leftover.cleaned"
LEFTOVER_REUSED = "imagewright.leftover.reused"

VOLUME_CREATED = "imagewright.volume.created"
VOLUME_DELETED = "imagewright.volume.deleted"
VOLUME_DETACHED = "imagewright.volume.detached"

IMAGE_STORAGE_DISABLED = "imagewright.image_storage.disabled"
IMAGE_STORAGE_ENABLED = "imagewright.image_storage.enabled"

WATCH_DELETED = "imagewright.watch.deleted"
WATCH_NEW = "imagewright.watch.new"
WATCH_REFUSED = "imagewright.watch.refused"
WATCH_SET = "imagewright.watch.set"
WATCH_SIGNATURE = "imagewright.watch.signature"

WEBHOOK_DELETED = "imagewright.webhook.deleted"
WEBHOOK_GONE = "imagewright.webhook.gone"
WEBHOOK_SET = "imagewright.webhook.set"
HOST_DRAINED = "imagewright.host.drained"
HOST_RESUMED = "imagewright.host.resumed"

FAMILY_DELETED = "imagewright.family.deleted"
FAMILY_PROMOTED = "imagewright.family.promoted"
FAMILY_RECALLED = "imagewright.family.recalled"
FAMILY_ROLLED_BACK = "imagewright.family.rolled_back"
FAMILY_SET = "imagewright.family.set"

ACCOUNT_CONFIGURED = "imagewright.account.configured"

IDENTITY_ADDED = "imagewright.identity.added"
IDENTITY_CHANGED = "imagewright.identity.changed"
IDENTITY_DISABLED = "imagewright.identity.disabled"
IDENTITY_PASSWORD_CHANGED = "imagewright.identity.password_changed"  # noqa: S105  # a name
IDENTITY_SIGNED_IN = "imagewright.identity.signed_in"
IDENTITY_SIGNED_OUT = "imagewright.identity.signed_out"
IDENTITY_SIGN_IN_FAILED = "imagewright.identity.sign_in_failed"
IDENTITY_SIGN_IN_LIMITED = "imagewright.identity.sign_in_limited"

TOKEN_CREATED = "imagewright.token.created"  # noqa: S105  # a name
TOKEN_REVOKED = "imagewright.token.revoked"  # noqa: S105  # a name

WORK_DEFERRED = "imagewright.work.deferred"
WORK_DONE = "imagewright.work.done"
WORK_TRIED = "imagewright.work.tried"

CATALOG_BACKED_UP = "imagewright.catalog.backed_up"
CATALOG_MIGRATED = "imagewright.catalog.migrated"

QUALITY_FAILED = "imagewright.quality.failed"

TOLD: Mapping[str, str] = {
    IMAGE_ADDED: "it is in the catalog, its bytes are on their way",
    IMAGE_RESUMED: "an add that had ended goes on",
    IMAGE_READY: "it is whole on every storage asked for",
    IMAGE_FAILED: "its add ended with an error",
    IMAGE_CANCELLED: "it was cancelled or deleted while it arrived, and is gone",
    IMAGE_EDITED: "its record was changed",
    IMAGE_SHARED: "others see it, or no longer",
    IMAGE_ENABLED: "it may be used again",
    IMAGE_DISABLED: "nothing new is made of it",
    IMAGE_EXPORTED: "a complete file was made of it",
    IMAGE_EXPORT_DELETED: "such a file was deleted",
    IMAGE_SYNCED: "it was brought to another ImageStore",
    IMAGE_SYNC_FAILED: "it could not be brought there",
    IMAGE_MOVED: "it changed its image storage",
    IMAGE_MOVE_FAILED: "it could not be moved, and is where it was",
    IMAGE_DELETED: "it is in the recycle bin",
    IMAGE_RECOVERED: "it was taken out of the bin",
    IMAGE_EXPUNGED: "it is gone for good",
    IMAGE_QUARANTINED: "the present rules refuse it, so it was disabled",
    FAMILY_PROMOTED: "it is the latest of its family",
    FAMILY_ROLLED_BACK: "it is no longer the latest of its family, which went back",
    FAMILY_RECALLED: "it was recalled: nothing new may be made of it",
    WATCH_NEW: "a watch brought it: a build that its publisher has put out",
    WATCH_REFUSED: "a watch found something that it does not take",
    REPLICA_DAMAGED: "what a storage holds of it is not whole any more",
    REPLICA_REPAIRED: "it is whole there again",
    QUALITY_FAILED: "a check of the catalog's quality failed",
}
"""Events sent to Prefect → what each says. Each is sent from a single line, after its change is committed."""
