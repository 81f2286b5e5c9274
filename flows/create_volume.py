"""Create and delete volumes and VM disks."""

from uuid import uuid4

from prefect import flow
from prefect.runtime import flow_run

from catalog.records import Plan, Volume
from flows.naming import named
from flows.requests import CreateVolume, DeleteVolume
from tasks import volume


@flow(name="create-volume", flow_run_name=named("create volume {name}"))
def create_volume(request: CreateVolume) -> Volume | Plan:
    """Create a volume or VM disk from an image: downloaded to the primary storage once, then an overlay or a clone.

    Raises ImageNotFound, IllegalTransition (disabled, not Ready, in the bin), InvalidRequest, CapacityExceeded.
    """
    asked = (request.image_id, request.primary_storage, request.name, request.size_bytes, request.account)
    if request.plan_only:
        return volume.plan_volume(*asked)
    # the run's own id: a run that is tried again makes no second volume
    return volume.create_volume(flow_run.get_id() or str(uuid4()), *asked)


@flow(name="delete-volume", flow_run_name=named("delete volume {volume_id}"))
def delete_volume(request: DeleteVolume) -> Volume | Plan:
    """Delete a volume; the cached image stays for the next one. Raises VolumeNotFound."""
    if request.plan_only:
        return volume.plan_delete_volume(request.volume_id, request.account)
    return volume.delete_volume(request.volume_id, request.account)
