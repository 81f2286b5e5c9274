"""A client of the Prefect API for a process that opens many: the certificates that it trusts are read once."""

import ssl
from functools import cache

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.settings.context import get_current_settings


def prefect_client() -> PrefectClient:
    """Return a client as `prefect.get_client` does, to be entered. Each of those reads all certificates: 15 to 25 ms of a processor."""
    api = get_current_settings().api
    return (
        get_client()
        if api.tls_insecure_skip_verify
        else get_client(httpx_settings={"verify": _trusting(api.ssl_cert_file)})
    )


@cache
def _trusting(certificates: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificates) if certificates else httpx.create_ssl_context()
