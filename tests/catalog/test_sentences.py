"""Every error of the product as one list of sentences (`-s` prints it), held to one pattern."""

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from catalog import errors
from catalog.errors import ImagewrightError
from console.starting import ServerUnavailable
from console.thread_pools import TookTooLong
from console.transfers.receiving import Refused
from console.transfers.uploads import NoPiece, NotKept, OtherProtocol, WrongOffset
from deployments.worker.__main__ import NoWorkPool
from deployments.worker.forks import NotPreloaded
from flows.client.errors import (
    AnswerNotUnderstood,
    CodeExpired,
    NotOffered,
    RunFailed,
    ServiceRefused,
    ServiceUnreachable,
)
from flows.command.call import ServerUnreachable
from flows.command.documents import DocumentNotWritten
from flows.server.api import PasswordRefused, ServerSilent
from flows.server.embedded import ServerNotStarted
from flows.server.same_catalog import OtherCatalog
from storage.imagestore.format.parameters import Damaged
from storage.sources.checksums.published import UnknownAlgorithms
from storage.sources.http.ranges import ServersDiffer
from storage.sources.network.addresses import NoConnection

ROOT = Path(__file__).parents[2]
PACKAGES = ("catalog", "storage", "tasks", "flows", "console", "deployments")
ROOTS = {errors.NotFound, errors.SourceError, errors.StorageError}  # never raised themselves

ID = "1b0e7a52-6c1f-4f0e-9d5a-2f6a3c1d8e90"
RUN = "0c9d6f6e-4a1b-4f6b-8a55-6b8c3a1f2e10@host-7:4711:998877"
URL = "https://mirror.example/debian.qcow2"
CATALOG = "sqlite:////srv/images/catalog.db"

SAMPLES: tuple[ImagewrightError, ...] = (
    errors.InvalidRequest("limit", -1, "0 or more; leave it out for all"),
    errors.InvalidRequest("accounts", (), "with mode specified, name at least one account or project"),
    errors.InvalidRequest("bios_mode", None, "elastic_baremetal needs one: UEFI (recommended) or Legacy"),
    errors.ImageNotFound(ID),
    errors.ImageNotFound("latest", "of family 'debian' for aarch64"),
    errors.StorageNotFound("defualt", ["default", "ceph"]),
    errors.StorageNotFound("defualt", []),
    errors.StorageNotFound("defualt"),
    errors.PrimaryStorageNotFound("ssd", ["local"]),
    errors.VolumeNotFound(ID),
    errors.ExportNotFound(ID),
    errors.ReservationNotFound(f"image:{ID}"),
    errors.LeftoverNotFound(ID),
    errors.WebhookNotFound("alerts"),
    errors.FamilyNotFound("debian"),
    errors.LineageNotProven("it is no JSON"),
    errors.WatchNotFound("debian-12"),
    errors.SignatureRefused(URL, "it is signed by another key than those given"),
    errors.PromotionRefused(ID, "debian", {"boot": "did not boot in UEFI mode on x86_64: no boot loader"}),
    errors.BackupFailed("/srv/backups", "it is not there, or not whole; there is no whole one"),
    errors.HomeNotMigrated(
        "/srv/imagewright", "there is no catalog in it; name the home that has one with IMAGEWRIGHT_HOME"
    ),
    errors.UploadNotFound(ID),
    errors.CatalogUnavailable(CATALOG, "database is locked"),
    errors.CatalogFull(CATALOG, "/srv/images", 4096),
    errors.CatalogOutdated(CATALOG, "0007", "0008"),
    errors.LogDamaged(4, "its content does not match its hash"),
    errors.RecordNotLogged(f"image:{ID}", "the log knows it, the tables don't"),
    errors.RecordUnreadable(f"image:{ID}", "its column status says 'gone'"),
    errors.RecordsUnreadable([errors.RecordUnreadable(f"image:{ID}", "its column status says 'gone'")]),
    errors.AccessDenied("bob", "delete", ID),
    errors.IllegalTransition(f"image {ID}", "Ready", "expunge", ["Deleted"]),
    errors.StaleImage(ID, 3, 4),
    errors.ImageBusy(ID, RUN),
    errors.ImageBusy(ID, "call@host-7:4711:998877"),
    errors.QuotaExceeded("bob", "images", 5, 5, 1),
    errors.QualityFailed("image 'debian'", ["virtio: declared, but Windows has no drivers [boot.virtio-disk v1]"]),
    errors.Withdrawn(ID),
    errors.NotSignedIn(),
    errors.NotSignedIn("this token has expired"),
    errors.SignInFailed(),
    errors.SignInLimited(840),
    errors.TooManyRequests("robot", 6000, 3),
    errors.SignInRefused("sign in with example.org", "its token has expired"),
    errors.ProviderUnavailable("https://id.example.org", "no answer came"),
    errors.NoSuchSignIn("a device code"),
    OtherProtocol("0.2.2"),
    NoPiece("text/plain"),
    WrongOffset(4096),
    NotKept("No space left on device"),
    errors.SetupClosed(),
    errors.NotAllowed("alice", "register-image-storage", "the role admin"),
    errors.OtherAccount("alice", "others", "team"),
    errors.IdentityNotFound("alice"),
    errors.IdentityExists("alice"),
    errors.TokenNotFound("0123456789abcdef"),
    errors.LastAdministrator("root"),
    errors.RunNotFound(ID),
    errors.KeyReused("export 1", "export-image"),
    errors.SomeFailed("delete", {ID: errors.ImageNotFound(ID)}, 2),
    errors.NothingMatches("default", "name_pattern 'debain*'"),
    errors.SyncFailed("near", "far", {ID: "image is not there"}),
    errors.FormatMismatch("raw", "qcow2", "the magic at byte 0"),
    errors.UnsafeImage(["qcow2.backing at byte 8: it names a backing file"], "give accept_unrecognized to keep it"),
    errors.ConversionFailed("qcow2", "raw", "qemu-img did not write in order"),
    errors.BootFailed("debian", "UEFI", "x86_64", "no boot loader ran within 60 s"),
    errors.MissingProgram("qemu-img", "qemu-utils"),
    errors.ProgramFailed("qemu-img", "it took more than 60 s"),
    errors.SourceNotFound(URL, "the server answers 404"),
    errors.SourceForbidden(URL, "the server answers 403"),
    errors.UploadBusy(ID),
    errors.SourceChanged(URL, "5 bytes", "6 bytes"),
    errors.TransferInterrupted(URL, 65536, "no byte came in time", 30),
    errors.TransferTooLong(URL, 65536, 3600),
    errors.ChecksumMismatch(URL, "sha256:aa", "sha256:bb"),
    errors.StorageUnavailable("ceph", "no monitor answered within 4 s"),
    errors.StorageElsewhere("near", "a", "b"),
    errors.HostAway("a", "it has been silent since 2026-03-01 12:00:00 UTC", "image storage near is on a"),
    errors.RunLost(ID, "it is Cancelled"),
    errors.StorageElsewhere("fast", "a", "b", kind="primary storage"),
    errors.HostNotFound("a"),
    errors.StorageRefused("ceph", "it is disabled; enable it first"),
    errors.CapacityExceeded("default", 2_000_000, 1_000_000),
    errors.CapacityExceeded("/srv/exports", 2_000_000, 1_000_000),
    errors.CapacityExceeded("exports on host-7, disk 64", 2_000_000, 1_000_000, other_place=True),
    errors.ReplicaInUse(ID, "ceph", ["volume 'disk-1'"]),
    errors.ObjectMissing("/srv/store/packs/ab12"),
    errors.DigestMismatch("/srv/store/packs/ab12", "sha256:aa", "sha256:bb"),
    errors.StaleLanding(ID),
    ServerUnavailable("the Prefect server does not answer"),
    TookTooLong("the source", "did not end within 20 s"),
    Refused("the image is refused: qcow2.backing at byte 8: it names a backing file"),
    PasswordRefused("http://127.0.0.1:4200/api"),
    ServerUnreachable("http://127.0.0.1:4200/api", "connection refused"),
    ServerSilent("http://127.0.0.1:4200/api", "connection refused"),
    ServiceUnreachable("https://images.example", "Connection refused"),
    AnswerNotUnderstood("https://images.example/api/v1/whoami", "with 'text/html' instead of JSON"),
    ServiceRefused("https://images.example", 503, "", "the source did not end within 20 s; try again", 5),
    ServiceRefused("https://images.example", 502, "", ""),
    CodeExpired("https://images.example", "WDJB-MJHT"),
    NotOffered("https://images.example", "events --verify"),
    RunFailed(ID, "Crashed", "its worker died"),
    DocumentNotWritten("/root/log.json", "Permission denied"),
    ServerNotStarted("no answer within 60 s"),
    NotPreloaded("2 threads are running"),
    NoWorkPool("http://127.0.0.1:4200/api"),
    OtherCatalog("http://10.0.0.5:4200/api", CATALOG, "postgresql://db/images"),
    OtherCatalog("http://10.0.0.5:4200/api", CATALOG, ""),
    Damaged("file:///srv/store", "its store.json is damaged: it does not describe a chip store"),
    UnknownAlgorithms(URL, "its checksum for 'debian.qcow2' is by an algorithm that is not known here (CRC32)"),
    ServersDiffer(URL, 0, "its servers have other ETags for the file"),
    NoConnection(URL, 0, "cannot connect: connection refused"),
)


def test_every_error_has_a_row() -> None:
    public = {name for name in _errors() if not name.startswith("_")}
    assert public - {kind.__name__ for kind in ROOTS} - {type(sample).__name__ for sample in SAMPLES} == set()


def _errors() -> set[str]:
    """Return the names of all classes of errors, as the sources say: to import every module takes 180 MB for good."""
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    classes = {
        node.name: node
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef)
    }
    bases = {name: {ast.unparse(base).rpartition(".")[2] for base in node.bases} for name, node in classes.items()}
    found, before = {ImagewrightError.__name__}, set[str]()
    while found != before:
        before, found = found, found | {name for name, those in bases.items() if those & found}
    return found - {ImagewrightError.__name__}


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_after_a_journey_between_processes(error: ImagewrightError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.retryable == error.retryable
    assert {name: str(value) for name, value in vars(again).items()} == {
        name: str(value) for name, value in vars(error).items()
    }


INSIDE = (
    r"\blease", r"\blanding", r"\bfenc", r"\bepoch", r"\bsegment", r"\bsettled\b", r"\bswept\b", r"\bholders?\b",
    r"\bNone\b", r"\bTraceback\b", r"\bexport:", r"\bcache:", r"\bsync-", r"\bsomebody who\b", r"\bnobody any more\b",
    r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b(?<!ImageStore)", r"\w+\(\)", r"<class ",
)  # fmt: skip
"""What only those know who know the program from inside: its words, its locks' names, Python's names."""
ARRIVING = (f"sync-{ID}", f"{ID}.raw", ID)
LOCKS = (*ARRIVING, f"export:{ID}", f"cache:{ID}@local")
IN_OTHER_WORDS = {"holder", "unreadable", "retry_after_s"}


def unlike(sentence: str) -> list[str]:
    """Return in what a sentence breaks the pattern: one line, that anybody can read, of what a person can act on."""
    words = [found.group() for pattern in INSIDE if (found := re.search(pattern, sentence))]
    return words + [
        fault
        for fault, there in {
            "several lines": not sentence.isprintable(),
            "too long": len(sentence) > 320,
            "ends with a dot": sentence.endswith((".", ";", ":", " ")),
            "a gap": "  " in sentence or ";;" in sentence or ": ;" in sentence or "()" in sentence,
            "nothing to do or choose": not re.search(r"; |: |, ", sentence),
        }.items()
        if there
    ]


def test_all_sentences_are_of_one_pattern() -> None:
    for sample in SAMPLES:
        print(f"{type(sample).__name__}: {sample}")
    assert {str(sample): unlike(str(sample)) for sample in SAMPLES if unlike(str(sample))} == {}


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_a_sentence_names_what_was_given(error: ImagewrightError) -> None:
    values = [value for name, value in vars(error).items() if value and name not in IN_OTHER_WORDS]
    told = [str(part) for value in values for part in (value if isinstance(value, list | tuple | dict) else [value])]
    assert [part for part in told if part not in str(error)] == []


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("holder", [RUN, "", "another run"])
def test_a_lock_is_told_as_the_work_under_it(lock: str, holder: str) -> None:
    busy = str(errors.ImageBusy(lock, holder))
    assert unlike(busy) == []
    assert ("by run 0c9d6f6e" in busy) == (holder == RUN)


@pytest.mark.parametrize("landing", ARRIVING)
def test_what_was_received_is_told_by_its_image(landing: str) -> None:
    assert unlike(str(errors.StaleLanding(landing))) == []


def test_a_sentence_is_not_put_into_itself() -> None:
    once = errors.StorageUnavailable("ceph", "no monitor answered within 4 s")
    assert str(errors.StorageUnavailable("ceph", str(once))) == str(once)


class Written(NamedTuple):
    """One error as the product's source text makes it. texts: its arguments, `…` for what is not written out."""

    at: str
    kind: str
    texts: tuple[str, ...]


def written() -> Iterator[Written]:
    names = {type(sample).__name__ for sample in SAMPLES}
    for file in (file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and (kind := ast.unparse(node.func).rpartition(".")[2]) in names:
                arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
                yield Written(f"{file.relative_to(ROOT)}:{node.lineno}", kind, tuple(map(_text, arguments)))


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "…"


def test_reasons_are_written_like_their_sentences() -> None:
    found = [(one.at, text) for one in written() for text in one.texts if text != "…"]
    for at, text in found:
        print(f"{at}: {text}")
    assert len(found) > 250
    assert [f"{at}: {text}: {faults}" for at, text in found if (faults := _unlike_a_part(text))] == []


def _unlike_a_part(text: str) -> list[str]:
    """Return in what a part of a sentence breaks the pattern; it need not be one by itself."""
    return [fault for fault in unlike(text) if fault != "nothing to do or choose"]


PARAMETER = re.compile(r"[a-z][a-z0-9_]*|(?:IMAGEWRIGHT|PREFECT)_[A-Z_]+|Upload-Metadata|…")


def test_a_wrong_request_is_told_by_its_parameter_and_what_is_allowed() -> None:
    asked = [one for one in written() if one.kind == "InvalidRequest"]
    assert len(asked) > 50
    wrong = [one for one in asked if not PARAMETER.fullmatch(one.texts[0]) or not _allows(one.texts[-1])]
    assert wrong == []


def _allows(text: str) -> bool:
    """Tell whether what is allowed goes on with the sentence `limit: -1 is not allowed; …`, and is not another complaint."""
    return not text.startswith(("it must", "must", "not ", "no such", "invalid", "bad"))
