"""Create and delete volumes and VM disks."""

from uuid import uuid4

from prefect.runtime import flow_run

from catalog.records import Plan, Volume
from flows.operation import flow_of
from flows.requests import CreateVolume, DeleteVolume
from tasks.runtime.runs.waiting import Waiting
from tasks.volumes import volume


@flow_of(CreateVolume)
def create_volume(request: CreateVolume) -> Volume | Plan:
    """Create a volume or VM disk from an image: downloaded to the primary storage once, then an overlay or a clone.

    Raises ImageNotFound, IllegalTransition (disabled, not Ready, in the bin), InvalidRequest, CapacityExceeded.
    """
    asked = (request.image_id, request.primary_storage, request.name, request.size_bytes, request.account)
    if request.plan_only:
        return volume.plan_volume(*asked)
    # the run's own id, so that a retried run makes no second volume
    identity = flow_run.get_id() or str(uuid4())
    return Waiting(request.patience_s).through(lambda: volume.create_volume(identity, *asked))


@flow_of(DeleteVolume)
def delete_volume(request: DeleteVolume) -> Volume | Plan:
    """Delete a volume; the cached image stays for the next one. Raises VolumeNotFound."""
    if request.plan_only:
        return volume.plan_delete_volume(request.volume_id, request.account)
    return volume.delete_volume(request.volume_id, request.account)
