"""What people ask for: one frozen model per flow, in the words and the order of the user guide.

Each model is the form in the Prefect UI, the body of `prefect deployment run`, the options of the command and the
argument of the Python call. Fields carry `title`, `description` and `position`; the rules live in `catalog.rules`.
"""

from flows.requests.accounts import SetAccount
from flows.requests.adding import AddSystemImage, AddVolumeImage
from flows.requests.form import ChangingRequest, ImagesRequest, Request
from flows.requests.managing import (
    BootCheck,
    DeleteExportedImage,
    DeleteImage,
    DisableImage,
    EditImage,
    EnableImage,
    ExportImage,
    ExpungeImage,
    RecoverImage,
    SetSharingMode,
)
from flows.requests.moving import ChangeImageStorage, CleanUpLeftovers, SyncImages
from flows.requests.scheduled import (
    CheckQuality,
    PurgeRecycleBin,
    ReclaimSpace,
    ReconcileStorages,
    RecoverRuns,
    RetryDeferred,
    VerifyReplicas,
)
from flows.requests.storages import (
    AdoptStorage,
    CleanImageCache,
    CreateVolume,
    DeleteVolume,
    RegisterImageStorage,
    RegisterPrimaryStorage,
    SetImageStorageState,
)

__all__ = [
    "AddSystemImage",
    "AddVolumeImage",
    "AdoptStorage",
    "BootCheck",
    "ChangeImageStorage",
    "ChangingRequest",
    "CheckQuality",
    "CleanImageCache",
    "CleanUpLeftovers",
    "CreateVolume",
    "DeleteExportedImage",
    "DeleteImage",
    "DeleteVolume",
    "DisableImage",
    "EditImage",
    "EnableImage",
    "ExportImage",
    "ExpungeImage",
    "ImagesRequest",
    "PurgeRecycleBin",
    "ReclaimSpace",
    "ReconcileStorages",
    "RecoverImage",
    "RecoverRuns",
    "RegisterImageStorage",
    "RegisterPrimaryStorage",
    "Request",
    "RetryDeferred",
    "SetAccount",
    "SetImageStorageState",
    "SetSharingMode",
    "SyncImages",
    "VerifyReplicas",
]
