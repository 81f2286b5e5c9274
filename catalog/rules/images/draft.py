"""Settle an add request and check it against every rule of the form, in one call, before anything is recorded.

| field | refused | by |
|---|---|---|
| name, description, family | a letter that is not allowed, too long | `naming` |
| version, labels | an invalid one | `builds` |
| expected_checksum | `sums:` alone for an upload: no list lies next to it | here |
| credentials | no host to send them to, or a URL that already has a password | `storages.sources` |
| BIOS mode, CSM, OS, bare metal | a contradiction, or any of them for a volume image | `boot` |
| boot_check | an architecture that can't be booted here | here |
"""

from collections.abc import Collection

from pydantic import Field

from catalog.errors import InvalidRequest
from catalog.records import Architecture, Image, Record
from catalog.rules.images.builds import check_labels, check_version
from catalog.rules.images.checksums import SUMS, Checksum, ChecksumList
from catalog.rules.images.combinations import check_image, settled
from catalog.rules.images.naming import check_description, check_name
from catalog.rules.storages.sources import UPLOAD, check_credentials, scheme_of


class Draft(Record):
    """A requested image. `urls` and `expected` have the secrets of URLs, `image` does not.

    urls: of the file, mirrors of each other. secret_in_url: one of them has a password. credentials: name of a secret.
    boots: the image must boot before it becomes Ready.
    """

    image: Image
    urls: tuple[str, ...] = Field(repr=False)
    expected: Checksum | ChecksumList | None = None
    secret_in_url: bool = False
    credentials: str | None = None
    boots: bool = False


def settled_draft(draft: Draft, tried: Collection[Architecture]) -> Draft:
    """Return a draft with the settings that the form left open. Raises InvalidRequest for the first rule of the form that it breaks.

    tried: architectures bootable here.
    """
    draft = draft.model_copy(update={"image": settled(draft.image)})
    _check(draft, tried)
    return draft


def _check(draft: Draft, tried: Collection[Architecture]) -> None:
    check_name(draft.image.name)
    check_description(draft.image.description)
    if draft.image.family is not None:
        check_name(draft.image.family, "family")
    if draft.image.build_version is not None:
        check_version(draft.image.build_version)
    check_labels(draft.image.labels)
    _check_neighbour(draft)
    check_credentials(draft.credentials, draft.urls, secret_in_url=draft.secret_in_url)
    check_image(draft.image)
    _check_trial(draft, tried)


def _check_neighbour(draft: Draft) -> None:
    """Refuse `sums:` alone for an upload, which has no list of checksums next to it."""
    beside = isinstance(draft.expected, ChecksumList) and not draft.expected.url
    if beside and any(scheme_of(url) == UPLOAD for url in draft.urls):
        raise InvalidRequest(
            "expected_checksum",
            SUMS,
            "no list of checksums lies next to an upload; give the checksum itself, or sums: and the URL of a list",
        )


def _check_trial(draft: Draft, tried: Collection[Architecture]) -> None:
    architecture = draft.image.cpu_architecture
    if draft.boots and architecture not in tried:
        allowed = f"{architecture} can't be tried here, only {' and '.join(tried)}; choose none"
        raise InvalidRequest("boot_check", "boots", allowed)
