"""How the contents of two images differ."""

from collections.abc import Mapping, Sequence

from catalog.records import Comparison, Contents, Image, Package, PackageChange


def compared(a: tuple[Image, Contents], b: tuple[Image, Contents]) -> Comparison:
    """Return what changed from image a to image b. What could not be read of either is said."""
    (before, old), (after, new) = a, b
    gone, come = ({finding.sentence for finding in contents.findings} for contents in (old, new))
    return Comparison(
        a=before.id,
        b=after.id,
        guest_os=(old.guest_os, new.guest_os),
        kernels_before=old.kernels,
        kernels_after=new.kernels,
        packages=_changes(_by_name(old.packages), _by_name(new.packages)),
        findings_new=tuple(sorted(come - gone)),
        findings_gone=tuple(sorted(gone - come)),
        size_change_bytes=_change(before.size_bytes, after.size_bytes),
        virtual_size_change_bytes=_change(before.virtual_size_bytes, after.virtual_size_bytes),
        unread=tuple(f"{image.id}: {said}" for image, contents in (a, b) for said in contents.unread),
    )


def _by_name(packages: Sequence[Package]) -> Mapping[str, str]:
    """Return the versions of each package by its name; several of one name, such as kernels, together."""
    found: dict[str, set[str]] = {}
    for package in packages:
        found.setdefault(package.name, set()).add(package.version)
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[PackageChange, ...]:
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return tuple(PackageChange(name=name, before=old.get(name), after=new.get(name)) for name in names)


def _change(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before
