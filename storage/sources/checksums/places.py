"""The usual places of an image's checksums: names of lists beside it, most likely first."""

import re

_BESIDE_FIRST = (".sha256", ".sha512")
_SHARED = (
    "SHA256SUMS", "SHA512SUMS", "CHECKSUM", "sha256sum.txt", "sha512sum.txt",
    "sha256sums.txt", "sha512sums.txt", "SHA256SUMS.txt", "SHA512SUMS.txt",  # Arch Linux
    "CHECKSUM.SHA512", "CHECKSUM.SHA256", "SHA512", "SHA256",  # FreeBSD, NetBSD, OpenBSD
    "checksums.txt", "CHECKSUMS", "CHECKSUMS.txt", "checksum.txt",  # releases on GitHub
    "SHA256SUM", "SHA512SUM", "sha256sum", "sha256sums", "DIGESTS", "SHA384SUMS", "B2SUMS", "b2sums.txt",
)  # fmt: skip
_BESIDE = (
    ".sha256sum", ".sha512sum", ".SHA256SUM", ".SHA512SUM", ".CHECKSUM", ".SHA256", ".SHA512", ".DIGESTS",
    ".sha256.txt", ".sha256sum.txt", ".sha384", ".b2", ".blake2b", ".checksum", "-CHECKSUM",
)  # fmt: skip
_OF_STEM = (".sha256", ".sha512", ".sha256sum", ".sha512sum", ".CHECKSUM", ".DIGESTS")
_WEAK_SHARED = ("SHA1SUMS", "sha1sum.txt", "sha1sums.txt", "MD5SUMS", "md5sum.txt", "md5sums.txt", "MD5")
_WEAK = (".sha1", ".sha1sum", ".SHA1", ".md5", ".md5sum", ".MD5")
_ENDINGS = re.compile(
    r"\.(?:raw|img|qcow2|qcow|vmdk|iso|vhdx?|ova|tar|zip|dd|bin|gz|xz|zst|bz2|lzma|7z)\Z", re.IGNORECASE
)
_ARCHITECTURE = re.compile(r"x86[_-]64|amd64|aarch64|arm64|i[3-6]86|ppc64le|s390x|riscv64|loong(?:arch|son)64|mips64el")
_RELEASE = re.compile(r"(?<![A-Za-z0-9])\d+(?:[.-][A-Za-z]?\d[0-9.]*)*(?![A-Za-z0-9])")


def stems(name: str) -> list[str]:
    """Return a file's name without its last suffix, without its last two, and so on."""
    found = []
    while (ending := _ENDINGS.search(name)) is not None and ending.start():
        name = name[: ending.start()]
        found.append(name)
    return found


def list_names(name: str) -> list[str]:
    """Return the names under which the checksum of a file may be published in its folder, each once."""
    ends = stems(name)
    names = [*(name + suffix for suffix in _BESIDE_FIRST), *_SHARED, *(name + suffix for suffix in _BESIDE)]
    names += [*_of_release(name), *(stem + suffix for stem in ends for suffix in _OF_STEM)]
    names += [*_WEAK_SHARED, *(name + suffix for suffix in _WEAK), *(f"{stem}.md5" for stem in ends)]
    return list(dict.fromkeys(names))


def belongs_to(list_name: str, name: str) -> bool:
    """Tell whether a list's own name says that it is of one file: any file name in it then means that file."""
    return any(re.match(rf"{re.escape(one)}[.\-_]", list_name) for one in (name, *stems(name)))


def _of_release(name: str) -> list[str]:
    """Return names made of product, release and architecture, as Fedora and FreeBSD name their lists."""
    stem = (stems(name) or [name])[-1]
    machine = _ARCHITECTURE.search(stem)
    if machine is None:
        return []
    release = _RELEASE.search(stem.replace(machine[0], " "))
    words = [word for word in re.split(r"[-.]", stem) if word and word not in machine[0]]
    fedora = (
        [f"{'-'.join(words[:2])}-{release[0].strip('.-')}-{machine[0]}-CHECKSUM"] if release and len(words) > 1 else []
    )
    return [*fedora, *(f"CHECKSUM.{kind}-{stem[: machine.end()]}" for kind in ("SHA512", "SHA256"))]
