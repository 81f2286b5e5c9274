"""Look an image up with the eyes of an account."""

from prefect import task

from catalog.records import Image
from tasks.resources import open_resources


@task(task_run_name="find image {image_id}")
def find_image(image_id: str, account: str) -> Image:
    """Return an image that the account may see. Raises ImageNotFound."""
    with open_resources() as (_, catalog):
        return catalog.image(image_id, account=account)
