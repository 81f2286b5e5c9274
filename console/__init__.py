"""The web page for images: list, add by URL or upload, manage, download. Beside the Prefect UI, on the same machine."""
