"""All settings, and the only reader of the environment (prefix `IMAGEWRIGHT_`)."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from catalog.errors import InvalidRequest

GIB = 1 << 30
TIB = 1 << 40
LONGEST_DAYS = 36_500
"""What a retention can be given: a hundred years; whoever wants longer wants `never`."""


class Settings(BaseSettings):
    """One field per setting; the environment variable is `IMAGEWRIGHT_` and the upper-case name."""

    model_config = SettingsConfigDict(env_prefix="IMAGEWRIGHT_", frozen=True, extra="ignore")

    home: Path = Field(
        Path("~/.imagewright"), description="Default storages, catalog and state live below this folder."
    )
    catalog_url: str = Field("", description="SQLAlchemy URL of the catalog; empty: SQLite below `home`.")
    scratch: Path | None = Field(
        None, description="Worker-local folder, always disposable; default `home`/scratch."
    )
    receiving: Path = Field(
        Path("/dev/shm"),  # noqa: S108  # a folder of our own in it, that nobody else can write to
        description="Folder in this machine's memory, where bytes just received outlive the worker's process.",
    )
    exports: Path | None = Field(None, description="Folder of exported files; default `home`/exports.")
    uploads: Path | None = Field(
        None, description="Folder of files sent to the console; default `home`/uploads. Workers must see it."
    )
    upload_idle_s: float = Field(
        300, description="Seconds without a byte after which an upload is Suspended."
    )
    upload_days: float = Field(7, description="Days without a byte after which an upload is discarded.")
    link_hours: float = Field(24, description="Hours after which a download link expires.")
    console_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1", "localhost", "[::1]"),
        description="`,`-separated names that the console is reached by; `*`: any (behind a proxy that checks).",
    )
    file_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        (Path("/home"), Path("/mnt"), Path("/opt"), Path("/srv")),
        description="`:`-separated folders that file:/// sources may lie below.",
    )
    allowed_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="`,`-separated CIDRs that sources may live in although they are not public, e.g. 127.0.0.0/8.",
    )
    ca_file: Path | None = Field(
        None, description="PEM file of certificate authorities trusted besides the system's."
    )
    ssh_key: Path | None = Field(None, description="Private key for sftp:// sources without a password.")
    ssh_known_hosts: Path | None = Field(None, description="Known-hosts file; default `home`/known_hosts.")
    ssh_host_policy: Literal["strict", "accept-new"] = Field(
        "strict", description="What to do with an unknown SSH host."
    )
    max_virtual_size: int = Field(16 * TIB, description="Largest virtual size of an image, bytes.")
    max_unpack_ratio: int = Field(
        200, description="Largest ratio of unpacked to packed bytes of a compressed source."
    )
    connect_timeout_s: float = Field(15, description="Seconds to wait for a connection.")
    read_timeout_s: float = Field(
        60, description="Seconds without a byte after which a transfer counts as stalled."
    )
    min_pace_bytes_s: int = Field(
        1024,
        description="Fewer bytes per second than this over `read_timeout_s` of waiting count as a stall.",
    )
    total_timeout_s: float = Field(
        30 * 86_400,
        ge=0,
        description="Seconds that the transfer of one image may take in all, retries included; 0: no limit. "
        "30 days are 1 TiB at 3.4 Mbit/s; what came is kept, and added again it goes on.",
    )
    parallel_ranges: int = Field(
        4,
        description="Connections per download from a distant HTTP server that serves ranges; 1: never parallel.",
    )
    parallel_round_trip_s: float = Field(
        0.005, description="Round trip, seconds, from which on a download goes over parallel connections."
    )
    allow_https_downgrade: bool = Field(
        False, description="Follow a redirect from https to http (credentials never go along)."
    )
    retry_delay_s: float = Field(2, description="First delay before a retry; doubles each time, with jitter.")
    retries: int = Field(5, description="Retries of a task in a row without progress.")
    bandwidth_bytes_s: int = Field(0, description="Cap on each transfer, bytes per second; 0: none.")
    retention_days: float = Field(
        3, ge=0, le=LONGEST_DAYS, description="Days a deleted image stays in the recycle bin."
    )
    retention_policy: Literal["direct", "delay", "never"] = Field(
        "delay", description="When a deleted image is expunged."
    )
    quality_socket: Path | None = Field(
        None, description="Unix socket of the data-quality agent; default `home`/run/quality.sock."
    )
    quota_images: int = Field(0, description="Images per account; 0: no limit.")
    quota_bytes: int = Field(0, description="Logical bytes per account, recycle bin included; 0: no limit.")

    @field_validator("file_roots", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        return tuple(Path(part) for part in value.split(":") if part) if isinstance(value, str) else value

    @field_validator("allowed_networks", "console_hosts", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator(
        "home", "scratch", "receiving", "exports", "uploads", "ca_file", "ssh_key", "ssh_known_hosts",
        "quality_socket", mode="before",
    )  # fmt: skip
    @classmethod
    def _unset(cls, value: object, info: ValidationInfo) -> object:
        """Take an empty variable as one that is not set: as a path it would be the current folder."""
        return cls.model_fields[str(info.field_name)].default if value == "" else value

    @field_validator("home", mode="after")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @property
    def catalog_address(self) -> str:
        """SQLAlchemy URL of the catalog, default filled in."""
        return self.catalog_url or f"sqlite:///{self.home / 'catalog.db'}"

    @property
    def scratch_folder(self) -> Path:
        """Worker-local folder, default filled in."""
        return self.scratch or self.home / "scratch"

    @property
    def exports_folder(self) -> Path:
        """Folder of exported files, default filled in."""
        return self.exports or self.home / "exports"

    @property
    def uploads_folder(self) -> Path:
        """Folder of files sent to the console, default filled in."""
        return self.uploads or self.home / "uploads"

    @property
    def known_hosts_file(self) -> Path:
        """Known-hosts file, default filled in."""
        return self.ssh_known_hosts or self.home / "known_hosts"


def load_settings() -> Settings:
    """Read the environment now. Not cached: tests and long-lived workers may change it between runs."""
    return Settings()


def secret_from_environment(name: str) -> str:
    """Return the value of an environment variable that holds a secret. Raises InvalidRequest if it is not set."""
    try:
        return os.environ[name]
    except KeyError as error:
        raise InvalidRequest("credentials", f"env:{name}", "a variable that is set on the worker") from error
