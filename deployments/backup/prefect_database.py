"""Find Prefect's own database, which holds secret blocks, deployments, schedules and the history of runs."""

from deployments.backup.databases import Database, database_at


def prefect_database() -> Database:
    """Return the database that a Prefect server started here would use, by Prefect's own settings. Imports Prefect."""
    from prefect.settings import get_current_settings

    url = get_current_settings().server.database.connection_url
    return database_at(url.get_secret_value() if url is not None else "")
