#!/usr/bin/env bash
# build_disks.sh FOLDER: three real Debian disks as raw, qcow2 and compressed qcow2: base, rebuilt (from scratch, with more
# packages) and upgraded (base with the other packages installed in place). Needs root, and Debian's mirror the first time.
set -eu
folder=$(realpath -m "$1"); mkdir -p "$folder"
more=python3-minimal,curl,vim-tiny
packages=systemd-sysv,udev,kmod,linux-image-cloud-amd64,initramfs-tools,iproute2,ifupdown,openssh-server,ca-certificates

tree() { # tree TARGET [MORE]
  [ -d "$1" ] || mmdebstrap --quiet --mode=root --variant=minbase --include="$packages${2:+,$2}" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --aptopt='Acquire::Languages "none"' \
    --customize-hook='rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*' bookworm "$1"
}
disk() { # disk TREE RAW
  truncate -s 2G "$2.aside"
  mkfs.ext4 -q -L root -U 11111111-2222-3333-4444-555555555555 -d "$1" -E lazy_itable_init=0,discard "$2.aside"
  mv "$2.aside" "$2"
}
formats() { # formats NAME
  [ -f "$folder/$1.qcow2" ] || qemu-img convert -f raw -O qcow2 "$folder/$1.raw" "$folder/$1.qcow2"
  [ -f "$folder/$1-compressed.qcow2" ] ||
    qemu-img convert -c -f raw -O qcow2 "$folder/$1.raw" "$folder/$1-compressed.qcow2"
}
upgrade() { # write what the second tree has more or otherwise into a copy of the first disk, file system kept
  cp --sparse=always "$folder/base.raw" "$folder/upgraded.aside"
  (cd "$folder/tree-rebuilt" && find . -xdev \( -type d -o -type f \) -printf '%y %P\n' | sort) |
    while read -r kind path; do
      [ -n "$path" ] || continue
      old="$folder/tree-base/$path"
      case "$path" in *\"*) continue ;; esac
      if [ "$kind" = d ]; then
        [ -d "$old" ] || echo "mkdir \"/$path\""
      elif ! cmp -s "$old" "$folder/tree-rebuilt/$path"; then
        [ ! -f "$old" ] || echo "rm \"/$path\""
        echo "write \"$folder/tree-rebuilt/$path\" \"/$path\""
      fi
    done >"$folder/upgrade.commands"
  debugfs -w -f "$folder/upgrade.commands" "$folder/upgraded.aside" >/dev/null 2>&1
  mv "$folder/upgraded.aside" "$folder/upgraded.raw"
}
if [ ! -f "$folder/base.raw" ]; then tree "$folder/tree-base"; disk "$folder/tree-base" "$folder/base.raw"; fi
if [ ! -f "$folder/rebuilt.raw" ]; then tree "$folder/tree-rebuilt" "$more"; disk "$folder/tree-rebuilt" "$folder/rebuilt.raw"; fi
[ -f "$folder/upgraded.raw" ] || upgrade
for name in base rebuilt upgraded; do formats "$name"; done
