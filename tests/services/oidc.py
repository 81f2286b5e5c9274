"""OpenID Connect providers: a real one as a process, and one that answers whatever a test wants to be refused."""

import http.server
import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from deployments.definitions import ROOT
from tests.services.process import find, free_port, running

CLIENT_ID = "imagewright"
CLIENT_SECRET = "s3cret/+"  # signs that a form and a header spell differently
CERTIFIED = ROOT / ".cache" / "oidc-provider"
"""Where `deployments/setup/oidc_provider.sh` puts it."""


@contextmanager
def provider(folder: Path, *users: Mapping[str, object]) -> Iterator[str]:
    """Run oidc-provider-mock with some users; yield its issuer."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    claims = [part for user in users for part in ("--user-claims", json.dumps(user))]
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), "--require-nonce", "true", *claims]
    with running(command, folder, port, within_s=60):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def certified_provider(folder: Path, **people: Mapping[str, object]) -> Iterator[str]:
    """Run oidc-provider, which is certified; yield its issuer. people: claims by what is typed as login, with any password."""
    node = find("node", "nodejs")
    if not (CERTIFIED / ".installed").exists():
        pytest.skip("oidc-provider is not installed (deployments/setup/oidc_provider.sh)")
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    script = Path(__file__).with_name("oidc_provider") / "provider.mjs"
    command = [node, str(script), str(CERTIFIED), str(port), CLIENT_ID, CLIENT_SECRET, json.dumps(people)]
    with running(command, folder, port, within_s=60):
        yield f"http://localhost:{port}"


def consent(page: str, subject: str) -> str:
    """Sign in at a provider's page as a person would; return where it sends the browser."""
    answer = httpx.post(page, data={"sub": subject}, timeout=30)
    assert answer.status_code == 302, answer.text
    return str(answer.headers["Location"])


@dataclass
class OddProvider:
    """A provider in this process. claims: of the next token, over what is right; None of them: left out.

    token: sent instead of the one made; error: of OAuth, instead of a token; facts: over what it says of itself; asked: the
    forms that its token endpoint was sent.
    """

    issuer: str
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "1", "use": "sig", "alg": "RS256"}))
    signs_with: RSAKey | None = None
    algorithm: str = "RS256"
    claims: dict[str, object] = field(default_factory=dict)
    token: str | None = None
    error: str | None = None
    facts: dict[str, object] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)

    def answer(self, path: str, form: dict[str, str]) -> object:
        if path == "/.well-known/openid-configuration":
            named = {name: f"{self.issuer}/{place}" for name, place in ENDPOINTS.items()}
            return {"issuer": self.issuer, **named, **self.facts}
        if path == "/keys":
            return {"keys": [self.key.as_dict(private=False)]}
        if path == "/device":
            return {"device_code": "d" * 40, "user_code": "ABCD-EFGH", "verification_uri": f"{self.issuer}/go", "expires_in": 300,
                    "interval": 1}  # fmt: skip
        self.asked.append(form)
        if self.error:
            return {"error": self.error}
        return {"access_token": "x", "token_type": "Bearer", "id_token": self.token or self.made()}

    def made(self) -> str:
        now = int(time.time())
        right: dict[str, object] = {"iss": self.issuer, "aud": CLIENT_ID, "sub": "1", "iat": now, "exp": now + 300,
                 "preferred_username": "ada", "groups": ["web"]}  # fmt: skip
        said = {name: value for name, value in {**right, **self.claims}.items() if value is not None}
        header = {"alg": self.algorithm, "kid": str(self.key.kid)}
        return jwt.encode(header, said, self.signs_with or self.key, algorithms=[self.algorithm])


ENDPOINTS = {
    "authorization_endpoint": "page", "token_endpoint": "token", "jwks_uri": "keys",
    "device_authorization_endpoint": "device",
}  # fmt: skip


@contextmanager
def odd_provider() -> Iterator[OddProvider]:
    """Serve one on loopback."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say({})

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._say({name: values[0] for name, values in parse_qs(text).items()})

        def _say(self, form: dict[str, str]) -> None:
            said = odd.answer(urlsplit(self.path).path, form)
            body = json.dumps(said).encode()
            self.send_response(400 if isinstance(said, dict) and "error" in said else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        odd = OddProvider(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield odd
        server.shutdown()
