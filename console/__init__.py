"""The web console: list images, add them by URL or upload, manage and download them. It runs beside the Prefect UI."""
