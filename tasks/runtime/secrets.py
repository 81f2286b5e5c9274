"""Secrets by name: Prefect blocks and the environment."""

import json
import re

from catalog.errors import InvalidRequest
from catalog.settings import secret_from_environment

PLACEHOLDER = re.compile(r"\{secret:([^{}]+)\}")


def secret(name: str) -> str:
    """Return a secret's text by the name of its Prefect Secret block, or `env:NAME`. Raises InvalidRequest.

    A block may hold JSON; its own `get` would parse text that looks like JSON, also a password such as `1e5`.
    """
    if name.startswith("env:"):
        return secret_from_environment(name.removeprefix("env:"))
    from prefect.blocks.system import Secret

    try:
        value = Secret.load(name).value.get_secret_value()  # type: ignore[union-attr]  # a coroutine only in async callers
    except ValueError as error:
        raise InvalidRequest("credentials", name, "the name of a Prefect Secret block or env:NAME") from error
    return value if isinstance(value, str) else json.dumps(value)


def with_secrets(url: str) -> str:
    """Return a URL with each `{secret:NAME}` replaced by that secret's value, percent-encoded."""
    from urllib.parse import quote

    return PLACEHOLDER.sub(lambda match: quote(secret(match[1]), safe=""), url)
