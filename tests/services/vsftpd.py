"""A private vsftpd with one user and anonymous access to the same folder."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.services.private_user import ESCAPED, USER, with_private_user
from tests.services.process import children, find, free_port, kill_sessions, running

_CONF = """
listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
anonymous_enable=NO
local_enable=YES
write_enable=NO
local_root={root}
chroot_local_user=YES
allow_writeable_chroot=YES
xferlog_enable=YES
vsftpd_log_file={folder}/transfers.log
secure_chroot_dir={folder}/empty
pam_service_name=vsftpd
check_shell=NO
seccomp_sandbox=NO
{extra}
"""


@dataclass(frozen=True)
class Vsftpd:
    """A running vsftpd."""

    host: str
    url: str
    root: Path
    folder: Path
    pid: int

    def bytes_sent(self) -> int:
        """Return the bytes of all transfers, whole or not, once the sessions have ended and written their lines."""
        deadline = time.monotonic() + 3
        while children(self.pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        log = self.folder / "transfers.log"
        lines = log.read_text().splitlines() if log.exists() else []
        found = (re.search(r"(?:OK|FAIL) DOWNLOAD: .*, (\d+) bytes", line) for line in lines)
        return sum(int(match.group(1)) for match in found if match)

    def cut(self) -> None:
        """Break every session, as a crash of the server would."""
        kill_sessions(self.pid)


@contextmanager
def vsftpd(folder: Path, root: Path, *, extra: str = "") -> Iterator[Vsftpd]:
    """Serve `root`; extra: lines for the configuration."""
    program, port = find("vsftpd", "vsftpd"), free_port()
    (folder / "empty").mkdir(parents=True, exist_ok=True)
    conf = folder / "vsftpd.conf"
    conf.write_text(_CONF.format(port=port, root=root, folder=folder, extra=extra).lstrip())
    command = with_private_user(folder, root, [program, str(conf)], pam="/etc/pam.d/vsftpd")
    with running(command, folder, port) as process:
        host = f"127.0.0.1:{port}"
        yield Vsftpd(host, f"ftp://{USER}:{ESCAPED}@{host}", root, folder, process.pid)
