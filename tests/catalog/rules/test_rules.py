"""The rules of the forms: every row of their tables, and the sentence of each refusal."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import InvalidRequest
from catalog.records import Image
from catalog.rules.images.checksums import DIGITS, ChecksumList, algorithm_of, parse_checksum, read_expected
from catalog.rules.images.combinations import MEDIA, MODES, check_image, media_of, settled_bios_mode
from catalog.rules.images.naming import MAX_DESCRIPTION, MAX_NAME, NAME_PATTERN, check_description, check_name
from catalog.rules.images.operating_systems import os_family, uefi_support
from catalog.rules.storages.kinds import KINDS, check_source, check_sources
from tests.catalog.samples import an_image

NAME_CHARACTERS = string.ascii_letters + string.digits + "-_.():+" + "镜像系统〇龥"
names = st.text(st.sampled_from(NAME_CHARACTERS + " "), min_size=1, max_size=MAX_NAME).filter(
    lambda text: text == text.strip()
)


@given(names)
def test_a_name_of_allowed_characters_is_allowed(name: str) -> None:
    check_name(name)


@given(st.text(min_size=0, max_size=200))
def test_any_other_name_is_refused(name: str) -> None:
    allowed = (
        1 <= len(name) <= MAX_NAME
        and name == name.strip(" ")
        and all(c in NAME_CHARACTERS + " " or "\u3400" <= c <= "\u9fff" or "\uf900" <= c <= "\ufaff" for c in name)
    )
    supplementary = any(ord(c) >= 0x20000 for c in name)
    passes = re.match(NAME_PATTERN, name) is not None
    assert passes == allowed or supplementary
    if passes:
        check_name(name)
    else:
        with pytest.raises(InvalidRequest) as caught:
            check_name(name)
        assert caught.value.parameter == "name"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "this has 0 characters"),
        ("x" * 129, "this has 129 characters"),
        (" debian", "no space at either end"),
        ("debian ", "no space at either end"),
        ("a/b", "character 2 is '/'"),
        ("a\nb", "character 2 is '\\n'"),
        ("a\u00a0b", "character 2 is '\\xa0'"),
        ("naïve", "character 3 is 'ï'"),
        ("debian💿", "character 7"),
        ("a,b", "character 2 is ','"),
        ("\uff41", "character 1"),
    ],
)
def test_a_refused_name_says_what_is_wrong(name: str, why: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_name(name)
    assert why in str(caught.value)


def test_a_long_name_is_not_repeated_in_full() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_name("x" * 100_000)
    assert len(str(caught.value)) < 300


def test_descriptions_end_at_2048_characters() -> None:
    check_description("")
    check_description("系" * MAX_DESCRIPTION)
    with pytest.raises(InvalidRequest, match="2,049"):
        check_description("x" * (MAX_DESCRIPTION + 1))


def system(**fields: object) -> Image:
    given = {
        "format": "qcow2",
        "cpu_architecture": "x86_64",
        "platform": "Linux",
        "virtio": True,
        "bios_mode": "Legacy",
    }
    return an_image(**given | fields)


@pytest.mark.parametrize("architecture", ["aarch64", "mips64el", "loongarch64"])
def test_other_architectures_are_always_uefi(architecture: str) -> None:
    assert settled_bios_mode(None, architecture) == "UEFI"  # type: ignore[arg-type]
    check_image(system(cpu_architecture=architecture, bios_mode="UEFI"))
    check_image(system(cpu_architecture=architecture, bios_mode="UEFI", format="iso", media="ISO"))
    with pytest.raises(InvalidRequest, match=f"bios_mode: 'Legacy' .* {architecture} always boots in UEFI"):
        check_image(system(cpu_architecture=architecture))


def test_x86_is_legacy_unless_asked_or_elastic() -> None:
    assert settled_bios_mode(None, "x86_64") == "Legacy"
    assert settled_bios_mode("UEFI", "x86_64") == "UEFI"
    assert settled_bios_mode(None, "x86_64", elastic_baremetal=True) == "UEFI"
    assert settled_bios_mode("Legacy", "x86_64", elastic_baremetal=True) == "Legacy"
    assert settled_bios_mode("Legacy", "aarch64") == "Legacy"  # refused afterwards, in words


@pytest.mark.parametrize("mode", ["Legacy", "UEFI"])
def test_an_iso_accepts_both_modes(mode: str) -> None:
    check_image(system(format="iso", media="ISO", bios_mode=mode))


@pytest.mark.parametrize("architecture", list(MODES))
@pytest.mark.parametrize("mode", ["Legacy", "UEFI"])
def test_csm_goes_only_with_uefi_on_x86(architecture: str, mode: str) -> None:
    image = system(cpu_architecture=architecture, bios_mode=mode, enable_csm=True)
    if (architecture, mode) == ("x86_64", "UEFI"):
        check_image(image)
    else:
        with pytest.raises(InvalidRequest):
            check_image(image)


@pytest.mark.parametrize("os", ["Windows 7", "windows 7 Ultimate x64", "Windows Server 2008 R2", "WindowsServer2008R2"])
def test_windows_7_and_2008_r2_need_csm_in_uefi_mode(os: str) -> None:
    check_image(system(os=os, bios_mode="Legacy", platform="Windows"))
    check_image(system(os=os, bios_mode="UEFI", platform="Windows", enable_csm=True))
    with pytest.raises(InvalidRequest, match=r"enable_csm: False .* only with CSM"):
        check_image(system(os=os, bios_mode="UEFI", platform="Windows"))


@pytest.mark.parametrize(
    ("os", "support"),
    [
        ("Windows XP", "no"),
        ("Windows Server 2003 R2", "no"),
        ("Windows Server 2008", "no"),
        ("Microsoft Windows Vista", "no"),
        ("Windows 8", "yes"),
        ("Windows 8.1", "yes"),
        ("Windows 10", "yes"),
        ("Windows 11", "yes"),
        ("Windows Server 2012 R2", "yes"),
        ("Windows Server 2016", "yes"),
        ("Windows Server 2022", "yes"),
        ("Windows", "yes"),
        ("CentOS 5", "no"),
        ("CentOS 6.10", "no"),
        ("centos-7.1", "no"),
        ("CentOS Linux release 7.0.1406", "no"),
        ("CentOS 7", "yes"),
        ("CentOS 7.2", "yes"),
        ("CentOS 7.10", "yes"),
        ("CentOS Stream 9", "yes"),
        ("CentOS", "yes"),
        ("Debian 12", "yes"),
        ("", "yes"),
        ("Windows 2000", "no"),
        ("Windows 70", "yes"),
    ],
)
def test_uefi_support_is_the_guides_table(os: str, support: str) -> None:
    assert uefi_support(os) == support


def test_an_os_too_old_for_uefi_is_refused_with_the_list() -> None:
    check_image(system(os="CentOS 6.5"))
    with pytest.raises(InvalidRequest, match=r"CentOS 6.5.*Windows 8 or later.*CentOS 7.2 or later") as caught:
        check_image(system(os="CentOS 6.5", bios_mode="UEFI"))
    assert caught.value.parameter == "os"


@pytest.mark.parametrize("image_format", ["raw", "qcow2", "vmdk", "iso"])
def test_elastic_bare_metal_is_raw_or_qcow2(image_format: str) -> None:
    image = system(format=image_format, elastic_baremetal=True, bios_mode="UEFI")
    if image_format in ("raw", "qcow2"):
        check_image(image)
        with pytest.raises(InvalidRequest, match="bios_mode"):
            check_image(image.model_copy(update={"bios_mode": None}))
    else:
        with pytest.raises(InvalidRequest, match="raw or qcow2"):
            check_image(image)


@pytest.mark.parametrize(
    "setting",
    [
        {"cpu_architecture": "x86_64"}, {"platform": "Linux"}, {"virtio": True}, {"bios_mode": "UEFI"},
        {"enable_csm": True}, {"elastic_baremetal": True}, {"os": "Debian"},
    ],
)  # fmt: skip
def test_volume_images_take_no_boot_settings(setting: dict[str, object]) -> None:
    check_image(an_image(image_type="Volume"))
    (parameter,) = setting
    with pytest.raises(InvalidRequest) as caught:
        check_image(an_image(image_type="Volume", **setting))
    assert caught.value.parameter == parameter


def test_formats_by_type_and_storage() -> None:
    assert set(MEDIA["System"]) == {"raw", "qcow2", "vmdk", "iso"}
    assert set(MEDIA["Volume"]) == {"raw", "qcow2", "vmdk"}
    assert media_of("System", "iso") == "ISO"
    assert media_of("Volume", "raw") == "DataTemplate"
    with pytest.raises(InvalidRequest, match="a volume image is one of raw, qcow2, vmdk"):
        media_of("Volume", "iso")
    assert KINDS["imagestore"].stored_as == {
        "raw": "raw", "qcow2": "qcow2", "vmdk": "qcow2", "iso": "iso"
    }  # fmt: skip
    assert KINDS["ceph"].stored_as == {
        "raw": "raw", "qcow2": "raw", "vmdk": "raw", "iso": "iso"
    }  # fmt: skip


@pytest.mark.parametrize("scheme", ["http", "https", "ftp", "sftp", "s3", "HTTP"])
def test_remote_sources_go_everywhere(scheme: str) -> None:
    check_source(f"{scheme}://host/x", {"a": "imagestore", "b": "ceph"})


def test_files_go_to_an_imagestore_only() -> None:
    check_source("file:///opt/x.qcow2", {"a": "imagestore"})
    with pytest.raises(InvalidRequest, match=r"'b' is Ceph.*objects and not files"):
        check_source("file:///opt/x.qcow2", {"a": "imagestore", "b": "ceph"})


@pytest.mark.parametrize("url", ["gopher://user:secret@h/x", "/opt/secret", "file://host/secret", "file:secret", ""])
def test_other_addresses_are_refused_without_repeating_them(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_source(url, {"a": "imagestore"})
    assert caught.value.parameter == "image_path"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "urls", [("upload://x", "http://h/x"), ("http://h/x", "upload://x"), ("UPLOAD://x",), ("upload:x",)]
)
def test_an_upload_stands_alone_and_is_spelt_in_one_way(urls: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest, match="an upload stands alone: upload://<id>"):
        check_sources(urls, {"a": "imagestore"})
    check_sources(("upload://x",), {"a": "imagestore"})
    check_sources(("http://h/x", "https://mirror/x"), {"a": "imagestore"})


@given(st.sampled_from(sorted(DIGITS)), st.data())
def test_checksums_are_read_in_any_case(algorithm: str, data: st.DataObject) -> None:
    digits = data.draw(st.text("0123456789abcdefABCDEF", min_size=DIGITS[algorithm], max_size=DIGITS[algorithm]))
    read = parse_checksum(f" {algorithm.upper()}:{digits} ")
    assert str(read) == f"{algorithm}:{digits.lower()}"
    assert read_expected(str(read)) == read


@pytest.mark.parametrize(
    "given", ["", "sha256", "sha256:", "crc32:00", "md5:" + "g" * 32, "sha256:" + "0" * 63, "0" * 64]
)
def test_other_checksums_are_refused(given: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_expected(given)
    assert caught.value.parameter == "expected_checksum"


@pytest.mark.parametrize(
    "pasted",
    [
        "sha256: {}", "sha256:{} ", "SHA-256: {}", "SHA2-256 = {}", "sha256={}", "SHA256 (disk.raw) = {}", "SHA256(a=b.raw)= {}",
        "\ufeffsha256:\u200b{}\u00a0", "sha256:\n{}", "Sha 256: {}", "SHA256SUM: {}", "sha256sum={}",
        "sha256\uff1a{}", '"sha256:{}"', "sha256:'{}'", "\u201csha256:{}\u201d",
    ],
)  # fmt: skip
def test_a_checksum_is_read_as_people_paste_it(pasted: str) -> None:
    value = "3F" * 32
    for digits in (
        value,
        " ".join(value[at : at + 2] for at in range(0, 64, 2)),
        f"{value[:40]}\n  {value[40:]}",
    ):
        assert str(read_expected(pasted.format(digits))) == f"sha256:{value.lower()}"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("sha256:" + "0" * 128, "sha256 has 64 hexadecimal digits, this has 128"),
        ("sha3-512:" + "z" * 128, "'z' is none"),
        ("sha512/256:" + "0" * 64, "give the algorithm"),
        ("0" * 64, "give the algorithm"),
    ],
)
def test_what_is_wrong_with_a_checksum_is_said(given: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(said)):
        read_expected(given)


@pytest.mark.parametrize("given", [" sums: ", "SUMS:", "sums: https://h/SHA256SUMS ", "Sums:HTTPS://h/x"])
def test_a_list_is_asked_for_in_any_spelling(given: str) -> None:
    assert str(read_expected(given)).startswith("sums:")


@pytest.mark.parametrize(
    ("label", "algorithm"),
    [
        ("SHA-512", "sha512"), ("SHA2-384", "sha384"), ("SHA3-512", "sha3_512"), ("sha3_256", "sha3_256"), ("BLAKE2B", "blake2b"),
        ("BLAKE2b-512", "blake2b"), ("BLAKE2b-256", None), ("blake2s", "blake2s"), ("BLAKE3", "blake3"), ("SHA512/256", None),
        ("SHA512-256", None), ("sha3", None), ("RIPEMD160", None), ("", None), ("sha1", "sha1"), ("MD-5", "md5"), ("sha0", None),
    ],
)  # fmt: skip
def test_an_algorithm_is_known_by_any_of_its_names(label: str, algorithm: str | None) -> None:
    assert algorithm_of(label) == algorithm


def test_a_list_of_checksums_is_named_by_its_address() -> None:
    assert read_expected(None) is None
    assert read_expected("sums:https://host/SHA256SUMS") == ChecksumList(url="https://host/SHA256SUMS")
    with pytest.raises(InvalidRequest):
        read_expected("sums:SHA256SUMS")


@pytest.mark.parametrize(
    ("os", "family"),
    [
        ("Debian GNU/Linux 12", "debian"),
        ("Microsoft Windows 10", "windows"),
        ("RHEL 8", "red"),
        ("Linux", ""),
        ("", ""),
    ],
)
def test_the_family_of_an_os_is_its_first_word(os: str, family: str) -> None:
    assert os_family(os) == family
