"""Check this host: settings, home, scratch, programs, libraries and the console's key."""

import os
import shutil
import stat
from collections.abc import Iterator
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, requires, version
from ipaddress import ip_network
from pathlib import Path

from packaging.requirements import Requirement

from catalog.privacy import OPEN, folder_mode
from catalog.settings import PREFIX, Settings, unknown_variables
from catalog.units import readable
from deployments.doctor.examine import Finding

LITTLE_BYTES = 2 << 30
"""Free bytes of a scratch folder below which conversions of ordinary images fail."""
KEY_BYTES = 32
SECRETS = ("console.key", "server.auth", "catalog.db")
PROGRAMS = {"qemu-img": "qemu-utils", "file": "file"}
"""Programs that runs start → the Debian package that provides them."""
NETWORKS = ("allowed_networks", "monitoring_networks")


def settings_valid(settings: Settings) -> Iterator[Finding]:
    """Report environment variables that set nothing, and invalid networks."""
    known = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    wrong = [_misspelt(name, known) for name in unknown_variables()]
    wrong += [said for name in NETWORKS for network in getattr(settings, name) if (said := _no_network(name, network))]
    yield Finding(check="settings", ok=not wrong, sentence="; ".join(wrong) or "every variable is a setting, and valid")


def _misspelt(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"{name} is no setting{f'; is {near[0]} meant?' if near else ', take it out'}"


def _no_network(name: str, network: str) -> str:
    try:
        ip_network(network, strict=False)
    except ValueError:
        return f"{PREFIX}{name.upper()}: {network!r} is no network; write one such as 10.0.0.0/8"
    return ""


def home_closed(settings: Settings) -> Iterator[Finding]:
    """Report a home that is missing, readable by others, or not writable."""
    home = settings.home
    if not home.is_dir():
        sentence = f"{home} is not there yet; the first command or `imagewright serve` makes it"
        yield Finding(check="home", ok=os.access(_nearest(home), os.W_OK), sentence=sentence)
        return
    mode = stat.S_IMODE(home.stat().st_mode)
    open_ = [name for name in SECRETS if _is_open(home / name)] if folder_mode() & stat.S_IRWXG == 0 else []
    if mode & stat.S_IRWXO or open_:
        what = ", ".join(open_) or f"the folder (mode {mode:o})"
        sentence = f"others can read {what} in {home}; `chmod -R go= {home}`"
        yield Finding(check="home", ok=False, sentence=sentence)
    elif not os.access(home, os.W_OK | os.X_OK):
        yield Finding(check="home", ok=False, sentence=f"{home} can't be written by this user; run as its owner")
    else:
        yield Finding(check="home", ok=True, sentence=f"{home} is ours alone, mode {mode:o}")


def _nearest(folder: Path) -> Path:
    return next(above for above in folder.parents if above.exists())


def _is_open(file: Path) -> bool:
    return file.exists() and bool(stat.S_IMODE(file.stat().st_mode) & OPEN)


def scratch_room(settings: Settings) -> Iterator[Finding]:
    """Report a scratch folder that is full or not writable."""
    for check, folder in {"scratch": settings.scratch_folder, "receiving": settings.receiving}.items():
        place = folder if folder.exists() else _nearest(folder)
        free = shutil.disk_usage(place).free
        least = LITTLE_BYTES if check == "scratch" else 64 << 20
        if not os.access(place, os.W_OK):
            sentence = f"{folder} can't be written; name another with {PREFIX}{check.upper()}"
        else:
            sentence = f"{readable(free)} are free in {folder}"
        ok = os.access(place, os.W_OK) and free >= least
        more = "" if ok else f"; at least {readable(least)} are wanted, make room there"
        yield Finding(check=check, ok=ok, sentence=sentence + more)


def programs_there(settings: Settings) -> Iterator[Finding]:
    """Report programs that runs start but that are not installed."""
    wanted = {**PROGRAMS, **({"pg_dump": "postgresql-client"} if settings.catalog_url.startswith("postgresql") else {})}
    lacking = [
        f"{program} (Debian package {package})" for program, package in wanted.items() if not shutil.which(program)
    ]
    sentence = f"not installed: {', '.join(lacking)}; install it" if lacking else f"found: {', '.join(wanted)}"
    yield Finding(check="programs", ok=not lacking, sentence=sentence)


def libraries_in_range() -> Iterator[Finding]:
    """Report libraries that are missing or outside the supported version range."""
    wrong, seen = list[str](), dict[str, str]()
    for line in requires("imagewright") or ():
        wanted = Requirement(line)
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            seen[wanted.name] = version(wanted.name)
        except PackageNotFoundError:
            wrong.append(f"{wanted.name} is not installed")
            continue
        if not wanted.specifier.contains(seen[wanted.name], prereleases=True):
            wrong.append(f"{wanted.name} is {seen[wanted.name]}, {wanted.specifier} is needed")
    named = ", ".join(f"{name} {seen[name]}" for name in ("prefect", "sqlalchemy") if name in seen)
    sentence = (
        f"{'; '.join(wrong)}; `make env` installs what requirements.lock says" if wrong else f"as required: {named}"
    )
    yield Finding(check="libraries", ok=not wrong, sentence=sentence)


def console_key(settings: Settings) -> Iterator[Finding]:
    """Report an invalid key for download links."""
    key = settings.home / "console.key"
    if not key.exists():
        yield Finding(check="console key", ok=True, sentence=f"{key} is made by the console's first start")
        return
    size = key.stat().st_size
    sentence = (
        f"{key} signs download links"
        if size == KEY_BYTES
        else (
            f"{key} has {size} bytes instead of {KEY_BYTES}; restore it from a backup, or delete it: links given out end then"
        )
    )
    yield Finding(check="console key", ok=size == KEY_BYTES, sentence=sentence)
