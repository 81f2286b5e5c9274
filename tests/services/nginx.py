"""A private nginx that serves a folder over http and https."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.services.process import find, free_port, running

_CONF = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  log_format counted '$body_bytes_sent $request_method $http_range';
  access_log {folder}/access.log counted;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  sendfile on; output_buffers 1 64k; {extra}
  server {{ listen 127.0.0.1:{port}; {tls} root {root}; {server}
    location /private/ {{ alias {root}/; auth_basic "images"; auth_basic_user_file {folder}/users; }} }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    """A running nginx. `/private/` serves the same files to imagewright:secret only."""

    url: str
    root: Path
    folder: Path

    def bytes_sent(self) -> int:
        """Return the body bytes of all requests that have ended."""
        lines = (self.folder / "access.log").read_text().splitlines()
        return sum(int(line.split()[0]) for line in lines)

    def resumed_at(self) -> list[int]:
        """Return the offsets of all requests for the rest of a file, in the order in which they ended."""
        lines = (self.folder / "access.log").read_text().splitlines()
        return [int(found[1]) for line in lines if (found := re.search(r"GET bytes=([1-9]\d*)-", line))]


@contextmanager
def nginx(
    folder: Path, root: Path, *, extra: str = "", server: str = "", certificate: Path | None = None
) -> Iterator[Nginx]:
    """Serve `root`. extra, server: lines for the http and server blocks; certificate: PEM of key and chain for https."""
    program, port = find("nginx", "nginx-light"), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "users").write_text("imagewright:{PLAIN}secret\n")
    tls = f"ssl_certificate {certificate}; ssl_certificate_key {certificate};" if certificate else ""
    conf = _CONF.format(folder=folder, root=root, port=port, extra=extra, server=server, tls=tls)
    conf = conf.replace(f":{port};", f":{port} ssl;") if certificate else conf
    (folder / "nginx.conf").write_text(conf)
    with running([program, "-c", str(folder / "nginx.conf"), "-p", str(folder)], folder, port):
        scheme = "https" if certificate else "http"
        yield Nginx(f"{scheme}://127.0.0.1:{port}", root, folder)
