"""All settings, and the only reader of the environment (prefix `IMAGEWRIGHT_`)."""

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from catalog.errors import InvalidRequest
from catalog.units import LONGEST_DAYS, LONGEST_S, MIB, TIB

PREFIX, TESTS = "IMAGEWRIGHT_", "IMAGEWRIGHT_TEST_"
HOST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Settings(BaseSettings):
    """One field per setting; the environment variable is `IMAGEWRIGHT_` and the upper-case name."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", allow_inf_nan=False)

    host: str = Field(
        "",
        description="Name of this host among those that share a catalog; default: the machine's. Directories that are "
        "registered here belong to it.",
    )
    host_address: str = Field(
        "",
        description="URL at which other hosts reach this host's console, e.g. http://10.0.0.5:4201; empty: they don't.",
    )
    home: Path = Field(
        Path("~/.imagewright"), description="Default storages, catalog and state live below this folder."
    )
    catalog_url: str = Field("", description="SQLAlchemy URL of the catalog; empty: SQLite below `home`.")
    catalog_reserve_bytes: int = Field(
        8 * MIB,
        ge=0,
        description="Bytes kept beside a SQLite catalog, so that on a full disk images can be deleted; 0: none.",
    )
    scratch: Path | None = Field(None, description="Worker-local folder, always disposable; default `home`/scratch.")
    receiving: Path = Field(
        Path("/dev/shm"),  # noqa: S108  # a folder of our own in it, that nobody else can write to
        description="Folder in this machine's memory, where bytes just received outlive the worker's process.",
    )
    exports: Path | None = Field(None, description="Folder of exported files; default `home`/exports.")
    uploads: Path | None = Field(
        None,
        description="Folder of files sent to the console, for all of them where it is set; workers must see it. Default: the bucket "
        "of the image storage in S3 that they are sent for, else `home`/uploads.",
    )
    upload_idle_s: float = Field(
        300, gt=0, le=LONGEST_S, description="Seconds without a byte after which an upload is Suspended."
    )
    upload_days: float = Field(
        7, gt=0, le=LONGEST_DAYS, description="Days without a byte after which an upload is discarded."
    )
    uploads_unfinished: int = Field(
        20, ge=1, description="Unfinished uploads per account; all accounts together ten times as many."
    )
    link_hours: float = Field(24, gt=0, le=LONGEST_DAYS * 24, description="Hours after which a download link expires.")
    console_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.1", "localhost", "[::1]"),
        description="`,`-separated names that the console is reached by; `*`: any (behind a proxy that checks).",
    )
    console_patience_s: float = Field(
        15, gt=0, le=LONGEST_S, description="Seconds the console waits for the head of a request; four times as long for a body, "
        "or for the next bytes of an upload.",
    )  # fmt: skip
    monitoring_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        ("127.0.0.0/8", "::1/128"),
        description="`,`-separated CIDRs that may ask for /healthz, /readyz and /metrics without a sign-in; of what came "
        "through a proxy nobody knows where from, so it has to sign in.",
    )
    log_format: Literal["text", "json"] = Field(
        "text",
        description="How `serve`, console, workers and runs write their logs; json: a line an object, with run and image id.",
    )
    backup_days: float = Field(
        7,
        ge=0,
        le=LONGEST_DAYS,
        description="Days after which `imagewright doctor` finds the newest backup too old; 0: backups are not asked for.",
    )
    session_hours: float = Field(12, gt=0, le=720, description="Hours after which a person has to sign in again.")
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="`,`-separated CIDRs of proxies in front of the service, whose X-Forwarded-For is believed; default none.",
    )
    tls_certificate: Path | None = Field(
        None,
        description="PEM file of the certificate, with its chain, by which console and API speak https; empty: http.",
    )
    tls_key: Path | None = Field(None, description="PEM file of the certificate's private key, without a passphrase.")
    api_requests_per_minute: int = Field(
        6000,
        ge=0,
        description="Requests that one identity may make to the API of a host within a minute, all at once if it wants; "
        "0: no limit.",
    )
    oidc_issuer: str = Field(
        "",
        description="URL of the OpenID Connect provider that persons may sign in at, as its tokens name it; empty: none.",
    )
    oidc_client_id: str = Field("", description="By which that provider knows us.")
    oidc_client_secret: SecretStr | None = Field(
        None, description="By which it knows that it is us; empty: a public client, PKCE alone."
    )
    oidc_title: str = Field("", description="What the button of that sign-in says; default: the provider's host.")
    oidc_scopes: str = Field(
        "openid profile", description="What is asked for there; some providers need `groups`, too."
    )
    oidc_name_claim: str = Field("preferred_username", description="Claim that names a person here.")
    oidc_groups_claim: str = Field("groups", description="Claim that lists the groups of a person.")
    oidc_groups: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="`,`-separated GROUP=ACCOUNT:ROLE or GROUP=ACCOUNT:ROLE:PROJECT+PROJECT; the first one that a person is "
        "in counts, and who is in none does not come in.",
    )
    server_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="`,`-separated names that the Prefect server is reached by, besides loopback's and the one in "
        "PREFECT_API_URL; `*`: any (behind a proxy that checks).",
    )
    server_patience_s: float = Field(
        15, gt=0, le=LONGEST_S, description="Seconds the Prefect server waits for the head of a request, or for the first words of a "
        "WebSocket; four times as long for a body.",
    )  # fmt: skip
    runs_at_once: int = Field(
        0, ge=0, description="Adds and other runs that move bytes that this host works on at once; 0: four a processor."
    )
    group: str = Field(
        "",
        description="Group whose members may read and write what we keep (folders 2770, files 0660); "
        "empty: nobody but the user (0700, 0600).",
    )
    file_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        (Path("/home"), Path("/mnt"), Path("/opt"), Path("/srv")),
        description="`:`-separated folders that file:/// sources may lie below.",
    )
    allowed_networks: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="`,`-separated CIDRs that sources may live in although they are not public, e.g. 127.0.0.0/8.",
    )
    ca_file: Path | None = Field(None, description="PEM file of certificate authorities trusted besides the system's.")
    ssh_key: Path | None = Field(None, description="Private key for sftp:// sources without a password.")
    ssh_known_hosts: Path | None = Field(None, description="Known-hosts file; default `home`/known_hosts.")
    ssh_host_policy: Literal["strict", "accept-new"] = Field(
        "strict", description="What to do with an unknown SSH host."
    )
    max_virtual_size: int = Field(16 * TIB, gt=0, description="Largest virtual size of an image, bytes.")
    max_unpack_ratio: int = Field(
        200, ge=1, description="Largest ratio of unpacked to packed bytes of a compressed source."
    )
    connect_timeout_s: float = Field(15, gt=0, le=LONGEST_S, description="Seconds to wait for a connection.")
    read_timeout_s: float = Field(
        60, gt=0, le=LONGEST_S, description="Seconds without a byte after which a transfer counts as stalled."
    )
    min_pace_bytes_s: int = Field(
        1024,
        ge=0,
        description="Fewer bytes per second than this over `read_timeout_s` of waiting count as a stall.",
    )
    total_timeout_s: float = Field(
        30 * 86_400,
        ge=0,
        le=LONGEST_S,
        description="Seconds that the transfer of one image may take in all, retries included; 0: no limit. "
        "30 days are 1 TiB at 3.4 Mbit/s; what came is kept, and added again it goes on.",
    )
    parallel_ranges: int = Field(
        4,
        ge=1,
        description="Connections per download from a distant HTTP server that serves ranges; 1: never parallel.",
    )
    parallel_round_trip_s: float = Field(
        0.005,
        ge=0,
        le=LONGEST_S,
        description="Round trip, seconds, from which on a download goes over parallel connections.",
    )
    allow_https_downgrade: bool = Field(
        False, description="Follow a redirect from https to http (credentials never go along)."
    )
    retry_delay_s: float = Field(
        2, ge=0, le=LONGEST_S, description="First delay before a retry; doubles each time, with jitter."
    )
    retries: int = Field(5, ge=0, description="Retries of a task in a row without progress.")
    bandwidth_bytes_s: int = Field(0, ge=0, description="Cap on each transfer, bytes per second; 0: none.")
    retention_days: float = Field(
        3, ge=0, le=LONGEST_DAYS, description="Days a deleted image stays in the recycle bin."
    )
    retention_policy: Literal["direct", "delay", "never"] = Field(
        "delay", description="When a deleted image is expunged."
    )
    quality_socket: Path | None = Field(
        None, description="Unix socket of the data-quality agent; default `home`/run/quality.sock."
    )
    quota_images: int = Field(0, ge=0, description="Images per account; 0: no limit.")
    quota_bytes: int = Field(0, ge=0, description="Logical bytes per account, recycle bin included; 0: no limit.")

    @field_validator("file_roots", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        return tuple(Path(part) for part in value.split(":") if part) if isinstance(value, str) else value

    @field_validator(
        "allowed_networks",
        "console_hosts",
        "monitoring_networks",
        "oidc_groups",
        "server_hosts",
        "trusted_proxies",
        mode="before",
    )
    @classmethod
    def _split_names(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator(
        "home",
        "scratch",
        "receiving",
        "exports",
        "uploads",
        "ca_file",
        "ssh_key",
        "ssh_known_hosts",
        "quality_socket",
        "tls_certificate",
        "tls_key",
        mode="before",
    )
    @classmethod
    def _unset(cls, value: object, info: ValidationInfo) -> object:
        """Treat an empty variable as unset; as a path it would be the current folder."""
        return cls.model_fields[str(info.field_name)].default if value == "" else value

    @field_validator("host", mode="after")
    @classmethod
    def _host_is_a_name(cls, value: str) -> str:
        if value and not HOST_NAME.fullmatch(value):
            raise InvalidRequest(
                "IMAGEWRIGHT_HOST", value, "letters, digits, dots, dashes and underscores, at most 128"
            )
        return value

    @field_validator("home", mode="after")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @model_validator(mode="after")
    def _has_both_of_tls(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            lacking = "IMAGEWRIGHT_TLS_KEY" if self.tls_key is None else "IMAGEWRIGHT_TLS_CERTIFICATE"
            raise InvalidRequest(lacking, "", "a PEM file: a certificate and its key go together")
        return self

    @property
    def speaks_https(self) -> bool:
        """Whether console and API serve https themselves."""
        return self.tls_certificate is not None

    @property
    def host_name(self) -> str:
        """Name of this host, or its default."""
        return self.host or os.uname().nodename

    @property
    def catalog_is_shared(self) -> bool:
        """Whether several hosts may share the catalog: with PostgreSQL. A SQLite catalog has one host."""
        return self.catalog_address.startswith("postgresql")

    @property
    def catalog_address(self) -> str:
        """SQLAlchemy URL of the catalog, or its default."""
        return self.catalog_url or f"sqlite:///{self.home / 'catalog.db'}"

    @property
    def scratch_folder(self) -> Path:
        """Worker-local scratch folder, or its default."""
        return self.scratch or self.home / "scratch"

    @property
    def exports_folder(self) -> Path:
        """Folder of exported files, or its default."""
        return self.exports or self.home / "exports"

    @property
    def uploads_folder(self) -> Path:
        """Folder of files uploaded to the console, or its default."""
        return self.uploads or self.home / "uploads"

    @property
    def known_hosts_file(self) -> Path:
        """SSH known-hosts file, or its default."""
        return self.ssh_known_hosts or self.home / "known_hosts"


def load_settings() -> Settings:
    """Read the settings from the current environment, which tests and long-lived workers may change between runs.

    An unchanged environment is parsed only once: parsing takes 20 ms, and a run needs settings in each of its steps.
    """
    named = {name: value for name, value in os.environ.items() if name.upper().startswith(PREFIX) or name == "HOME"}
    return _parsed(tuple(sorted(named.items())), _here())


@lru_cache(maxsize=64)
def _parsed(_environment: tuple[tuple[str, str], ...], _folder: str) -> Settings:
    return Settings()


OTHERS = frozenset({"ROOT", "SERVER", "TOKEN"})
"""Our variables that are not fields of `Settings`."""


def unknown_variables() -> tuple[str, ...]:
    """Return the variables with our prefix that set nothing: misspelt, or of another version."""
    known = {name.upper() for name in Settings.model_fields} | OTHERS
    ours = (name for name in os.environ if name.startswith(PREFIX))
    return tuple(sorted(name for name in ours if name.removeprefix(PREFIX) not in known and not name.startswith(TESTS)))


def _here() -> str:
    """Return the base folder of relative paths, "" if it is gone."""
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def group_named() -> str:
    """Return `Settings.group`. It is needed for each new file, so no other setting is read."""
    return os.environ.get("IMAGEWRIGHT_GROUP", "")


def service_named() -> tuple[str, str]:
    """Return the address of the service that commands go to, and its token, each "" if it is not set."""
    return os.environ.get("IMAGEWRIGHT_SERVER", "").strip(), os.environ.get("IMAGEWRIGHT_TOKEN", "").strip()


def secret_from_environment(name: str) -> str:
    """Return the value of an environment variable that holds a secret. Raises InvalidRequest if it is not set."""
    try:
        return os.environ[name]
    except KeyError as error:
        raise InvalidRequest("credentials", f"env:{name}", "a variable that is set on the worker") from error
