"""Comparison of two images' contents."""

from collections.abc import Mapping, Sequence

from catalog.records import (
    Comparison,
    Contents,
    DirectoryChange,
    DirectorySize,
    FileChange,
    Image,
    Package,
    PackageChange,
)

FileFacts = Mapping[str, tuple[int, int]]
"""Path → size in bytes and modification time (seconds since 1970)."""
MOST_FILES, LEVELS = 1000, 2
NOTHING: FileFacts = {}


def compared(
    a: tuple[Image, Contents],
    b: tuple[Image, Contents],
    files_of_a: FileFacts = NOTHING,
    files_of_b: FileFacts = NOTHING,
) -> Comparison:
    """Return the changes from image a to image b, with the parts of either that could not be read."""
    (before, old), (after, new) = a, b
    changes = file_changes(files_of_a, files_of_b)
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
        files_added=sum(change.before is None for change in changes),
        files_removed=sum(change.after is None for change in changes),
        files_changed=sum(None not in (change.before, change.after) for change in changes),
        files=tuple(changes[:MOST_FILES]),
        directories=_directory_changes(directory_sizes(files_of_a), directory_sizes(files_of_b)),
        size_change_bytes=_change(before.size_bytes, after.size_bytes),
        virtual_size_change_bytes=_change(before.virtual_size_bytes, after.virtual_size_bytes),
        unread=tuple(f"{image.id}: {said}" for image, contents in (a, b) for said in contents.unread),
    )


def summary_of(found: Comparison) -> str:
    """Summarize a comparison in a sentence: how many packages and files differ, and any change of kernels."""
    come, gone = (sum(getattr(one, side) is None for one in found.packages) for side in ("before", "after"))
    said = [f"{len(found.packages)} packages differ ({come} new, {gone} gone)"]
    if found.kernels_before != found.kernels_after:
        said.append(f"kernel {', '.join(found.kernels_before) or 'none'} → {', '.join(found.kernels_after) or 'none'}")
    said.append(f"files: {found.files_added} new, {found.files_removed} gone, {found.files_changed} changed")
    return "; ".join((*said, *found.unread))


def file_changes(old: FileFacts, new: FileFacts) -> Sequence[FileChange]:
    """Return the files that differ in size or modification time, the largest change first."""
    paths = (path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
    changes = [FileChange(path=path, before=_size(old, path), after=_size(new, path)) for path in paths]
    return sorted(changes, key=lambda one: (-abs((one.after or 0) - (one.before or 0)), one.path))


def _size(files: FileFacts, path: str) -> int | None:
    return files[path][0] if path in files else None


def directory_sizes(files: FileFacts) -> Sequence[DirectorySize]:
    """Return the total of each directory up to two levels deep, by path; the root is `/`."""
    found: dict[str, tuple[int, int]] = {}
    for path, (size, _) in files.items():
        parts = path.split("/")[1:-1][:LEVELS]
        for depth in range(len(parts) + 1):
            place = "/" + "/".join(parts[:depth])
            count, taken = found.get(place, (0, 0))
            found[place] = (count + 1, taken + size)
    return [DirectorySize(path=path, files=count, size_bytes=taken) for path, (count, taken) in sorted(found.items())]


def _directory_changes(old: Sequence[DirectorySize], new: Sequence[DirectorySize]) -> tuple[DirectoryChange, ...]:
    before, after = ({one.path: one.size_bytes for one in sizes} for sizes in (old, new))
    paths = sorted(path for path in before.keys() | after.keys() if before.get(path, 0) != after.get(path, 0))
    return tuple(DirectoryChange(path=path, before=before.get(path, 0), after=after.get(path, 0)) for path in paths)


def _by_name(packages: Sequence[Package]) -> Mapping[str, str]:
    """Return the versions of each package by name; several of one name, such as kernels, are joined."""
    found: dict[str, set[str]] = {}
    for package in packages:
        found.setdefault(package.name, set()).add(package.version)
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[PackageChange, ...]:
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    return tuple(PackageChange(name=name, before=old.get(name), after=new.get(name)) for name in names)


def _change(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before
