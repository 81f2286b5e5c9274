"""Who may come in: users with passwords and keys, and what should not be in an image that many machines are made of.

Formats: passwd(5), shadow(5). A password's hash is looked at for whether there is one, and goes nowhere.
"""

from collections.abc import Iterator, Mapping

from storage.boot.probe.filesystems import Files, read

MOST_BYTES, MOST_USERS = 1 << 20, 2000
HOST_KEYS = "/etc/ssh"
LOCKED = ("locked",)
NO_LOGIN = ("nologin", "false", "sync", "shutdown", "halt")
Row = dict[str, object]


def users(files: Files) -> list[Row]:
    """Return the users that have a password, a key, or a shell: name, uid, shell, whether there is a password, how many keys."""
    hashes = dict(_shadow(read(files, "/etc/shadow", MOST_BYTES) or b""))
    lines = (read(files, "/etc/passwd", MOST_BYTES) or b"").decode("utf-8", "replace").splitlines()
    found = [row for line in lines[:MOST_USERS] if (row := _user(files, line.split(":"), hashes)) is not None]
    return [row for row in found if row["authorized_keys"] or row["shell"] or row["password"] not in LOCKED]


def _user(files: Files, fields: list[str], hashes: Mapping[str, str]) -> Row | None:
    if len(fields) < 7 or not fields[0] or not fields[2].isascii() or not fields[2].isdigit():
        return None
    name, home, shell = fields[0], fields[5], fields[6].strip()
    own = hashes.get(name, fields[1])
    keys = (read(files, f"{home.rstrip('/')}/.ssh/authorized_keys", MOST_BYTES) or b"") if home.startswith("/") else b""
    return {
        "name": name[:64], "uid": int(fields[2][:10]), "password": _password(own),
        "shell": "" if shell.rpartition("/")[2] in NO_LOGIN else shell[:128],
        "authorized_keys": sum(1 for line in keys.splitlines() if line.strip() and not line.strip().startswith(b"#")),
    }  # fmt: skip


def _shadow(data: bytes) -> Iterator[tuple[str, str]]:
    for line in data.decode("utf-8", "replace").splitlines():
        name, colon, rest = line.partition(":")
        if colon:
            yield name, rest.partition(":")[0]


def _password(field: str) -> str:
    if not field:
        return "empty"
    return "set" if field.startswith(("$", "_")) or (len(field) == 13 and field[0] not in "!*") else "locked"


def findings(files: Files, people: list[Row]) -> Iterator[tuple[str, str, str]]:
    """Yield what should not be there: rule, severity, sentence."""
    for name in files.names(HOST_KEYS):
        if name.startswith("ssh_host_") and name.endswith("_key") and read(files, f"{HOST_KEYS}/{name}", 1):
            yield (
                "contents.host-key",
                "error",
                f"{HOST_KEYS}/{name}: each machine made of it would have the same host key",
            )
    machine = (read(files, "/etc/machine-id", 256) or b"").strip()
    if machine and machine != b"uninitialized":
        yield (
            "contents.machine-id",
            "warning",
            "/etc/machine-id is set: each machine made of it would have the same one",
        )
    for user in people:
        known = user["password"]
        if known == "empty" and user["shell"]:
            yield "contents.empty-password", "error", f"user {user['name']} has an empty password"
        elif known == "set":
            yield "contents.password", "warning", f"user {user['name']} has a password"
        if user["authorized_keys"]:
            yield "contents.keys", "warning", f"user {user['name']} has {user['authorized_keys']} authorized keys"
