"""A private OpenSSH server that speaks sftp only, with one user: password or key."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.services.private_user import ESCAPED, USER, with_private_user
from tests.services.process import find, free_port, kill_sessions, running

_CONF = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/user_key.pub
StrictModes no
UsePAM no
UseDNS no
PermitRootLogin yes
PasswordAuthentication yes
KbdInteractiveAuthentication no
AllowUsers {user}
Subsystem sftp internal-sftp
ForceCommand internal-sftp
AllowTcpForwarding no
MaxStartups 100
"""


@dataclass(frozen=True)
class Sshd:
    """A running sshd. Paths in URLs are absolute: `url` + `root` + name."""

    host: str
    port: int
    url: str
    root: Path
    folder: Path
    pid: int

    @property
    def key(self) -> Path:
        """Private key that the user is known by."""
        return self.folder / "user_key"

    @property
    def known_hosts_line(self) -> str:
        """What a client that knows this host has on file."""
        kind, key = (self.folder / "host_key.pub").read_text().split()[:2]
        return f"[127.0.0.1]:{self.port} {kind} {key}\n"

    def cut(self) -> None:
        """Break every session."""
        kill_sessions(self.pid)


def make_key(path: Path, passphrase: str = "") -> None:
    """Make a key pair at `path` and `path`.pub, replacing what is there; encrypted where there is a passphrase."""
    path.unlink(missing_ok=True)
    subprocess.run(
        [find("ssh-keygen", "openssh-client"), "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)],
        check=True,
    )


@contextmanager
def sshd(folder: Path, root: Path) -> Iterator[Sshd]:
    """Serve the whole file system to the private user; `root` is where the test's files are."""
    program, port = find("sshd", "openssh-server"), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    make_key(folder / "host_key")
    make_key(folder / "user_key")
    conf = folder / "sshd_config"
    conf.write_text(_CONF.format(port=port, folder=folder, user=USER))
    command = with_private_user(folder, root, [program, "-D", "-e", "-f", str(conf)])
    with running(command, folder, port) as process:
        host = f"127.0.0.1:{port}"
        yield Sshd(host, port, f"sftp://{USER}:{ESCAPED}@{host}", root, folder, process.pid)
