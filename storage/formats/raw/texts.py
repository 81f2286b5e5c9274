"""Texts mistaken for a disk: pages, server answers, pointers, signatures, settings. Each is named, with advice."""

import json
import re
from collections.abc import Iterator

from catalog.records import Finding
from storage.formats.rules import Rule, printable

MAX_ANSWER = 64 << 10
SECTOR, MAX_PATTERN, SURELY = 512, 8, 64  # bytes
_PAGE = re.compile(
    rb"\A(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body|title|meta|link|script|noscript|style|div|"
    rb"p|h[1-6]|a|center|form|iframe|frameset|table|img|br|pre|\?xml|error)[\s/>]",
    re.IGNORECASE | re.DOTALL,
)

PAGE = Rule(
    "file.html-page",
    "the file is a web page ('{start}'), not an image; the address probably leads to a log-in or error page",
    version=2,
)
ANSWER = Rule("file.json-answer", "the file is a server's JSON answer ('{start}'), not an image", version=2)
TEXT = Rule("file.text", "the file is {name} ('{start}'), not an image; {advice}")

WRONG = "look for the image beside it"
_FETCH = "the address leads to it instead of the image"
_KINDS = tuple(
    (name, re.compile(pattern, re.IGNORECASE | re.MULTILINE), advice)
    for name, pattern, advice in (
        ("a Git LFS pointer", rb"\Aversion https://git-lfs", "fetch what it points to with git lfs pull, or take the address of the raw media"),
        ("a git-annex pointer", rb"\A[./]*(git/)?annex/objects/", "fetch what it points to with git annex get"),
        ("an OpenPGP signature", rb"\A-----BEGIN PGP SIGN", "it belongs to the image beside it: add that"),
        ("a signature", rb"\Auntrusted comment: |\A-----BEGIN SSH SIGNATURE", "it belongs to the image beside it: add that"),
        ("a key or certificate", rb"\A-----BEGIN ", WRONG),
        ("an OVF description of a machine", rb"\A(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<([a-z]+:)?Envelope\b", "add the OVA, or the disk that it names"),
        ("the settings of a VirtualBox machine (.vbox)", rb"\A\s*(<\?xml[^>]*>\s*)?(<!--(?:.|\n)*?-->\s*)*<VirtualBox\b", "add its disk"),
        ("a Parallels disk description", rb"\A\s*(<\?xml[^>]*>\s*)?<Parallels_disk_image\b", "convert the disk in its folder to qcow2 and add that"),
        ("the settings of a libvirt machine", rb"\A\s*(<!--(?:.|\n)*?-->\s*)?<domain\b", "add its disk"),
        ("a metalink", rb"\A\s*(<\?xml[^>]*>\s*)?<metalink\b", "add the image that it describes"),
        ("a block map", rb"\A\s*(<\?xml[^>]*>\s*)?(<!--(?:.|\n)*?-->\s*)?<bmap\b", "add the image that it describes"),
        ("the settings of a VMware machine (.vmx)", rb"^(config\.version|virtualHW\.version) *=", "add its disk"),
        ("VMware's list of snapshots (.vmsd)", rb"^snapshot\.(numSnapshots|current|mru0\.uid|lastUID) *=", "add its disk"),
        ("settings of cloud-init", rb"\A#cloud-config", WRONG),
        ("a list of checksums", rb"\A(#[^\n]*\n)*\s*([0-9a-f]{32,128}[ \t]+[*]?\S|(MD5|SHA\d+|BLAKE2b?) *\()", "it belongs to the image beside it: add that"),
        ("a list of tracks of a CD (.cue)", rb"\A\s*(FILE \"|REM |CATALOG )|\A\[CloneCD\]", "convert the CD image to ISO and add that"),
        ("a magnet link", rb"\Amagnet:\?", "download what it describes with a BitTorrent client and add that"),
        ("a link", rb"\A\s*(https?|ftp)://\S+\s*\Z|\A\[InternetShortcut\]", "give this address as the image path"),
        ("a script", rb"\A#!", "if it unpacks an image, run it and add that"),
        ("a server's answer", rb"\A\s*(4\d\d|5\d\d|error|not found|forbidden|access denied|unauthori[sz]ed|bad gateway|no such)\b", _FETCH),
    )
)  # fmt: skip
_NOT_TEXT = bytes(n for n in range(32) if n not in b"\t\n\r\f\b\x1b") + b"\x7f"


def findings(head: bytes, size_bytes: int) -> Iterator[Finding]:
    """Refuse a text, in a sentence that names its kind. head: the whole file, or its first MiB."""
    text = _text(head, size_bytes)
    start = printable(text.strip(), 40)
    if text[:1] in (b"{", b"[") and size_bytes <= MAX_ANSWER and _is_json(text):
        yield ANSWER.found(0, start=start)
        return
    for name, pattern, advice in _KINDS:
        if text and pattern.search(text[:4096]):
            yield TEXT.found(0, name=name, start=start, advice=advice)
            return
    if (_printable(head[:SURELY].rstrip(b"\0")) and _PAGE.match(head[:4096])) or _PAGE.match(text[:4096]):
        yield PAGE.found(0, start=printable(head.strip(), 40))
    elif text:
        yield TEXT.found(0, name="a text", start=start, advice=_FETCH)


def _text(head: bytes, size_bytes: int) -> bytes:
    """Return the text, UTF-16 as UTF-8, or nothing if the bytes are no text."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            head = head[: len(head) // 2 * 2].decode("utf-16").encode("utf-8")
        except UnicodeDecodeError:
            return b""
    if size_bytes <= len(head):
        head = head.rstrip(b"\0")
    if not head or not _printable(head[:4096]) or not _printable(head) or _is_fill(head):
        return b""
    return head if len(head) < SECTOR or any(space in head[:4096] for space in (b" ", b"\n")) else b""


def _printable(head: bytes) -> bool:
    """Tell whether there is no control character, in any encoding; every sector of random bytes has some."""
    return len(head.translate(None, _NOT_TEXT)) == len(head)


def _is_fill(head: bytes) -> bool:
    """Tell whether a short pattern fills the bytes, as disk tests leave behind."""
    return len(head) >= SECTOR and any(head[step:] == head[:-step] for step in range(1, MAX_PATTERN + 1))


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
