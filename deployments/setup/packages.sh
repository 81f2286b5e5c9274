#!/usr/bin/env bash
# packages.sh run|demo|test|bench: install the missing Debian packages for that purpose.
# A test service that can't be installed is no error: its tests are skipped with the reason.
set -eu
run="qemu-utils file gpgv python3 python3-venv ca-certificates"
demo="gnupg grub-pc-bin grub-efi-amd64-bin grub-common gdisk mtools dosfstools"
test="$demo nginx-light vsftpd openssh-server postgresql strace chromium-headless-shell e2fsprogs xfsprogs ntfs-3g xorriso faketime
  grub-rescue-pc ipxe memtest86+ ovmf seabios qemu-system-x86 qemu-system-arm qemu-efi-aarch64 mmdebstrap iproute2
  redis-server prometheus rpm db5.3-util lxd-client ceph-mon ceph-mgr ceph-osd ceph-common python3-rados python3-rbd qemu-block-extra"
command -v npm >/dev/null || test="$test nodejs npm"  # any existing installation will do
bench="restic borgbackup casync zpaq curl"
wanted=${!1}

missing=""
for package in $wanted; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -q '^installed$' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"
export DEBIAN_FRONTEND=noninteractive
echo "installing:$missing"
# Keep Debian from starting these services: tests start their own private ones.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null && $sudo chmod 755 $policy
  trap '$sudo rm -f $policy' EXIT
fi
$sudo apt-get update -qq
install() { $sudo apt-get install -y -qq --no-install-recommends "$@" >"${TMPDIR:-/tmp}/imagewright-apt.log" 2>&1; }
# shellcheck disable=SC2086
if ! install $missing; then
  [ "$1" = run ] && { tail -n 5 "${TMPDIR:-/tmp}/imagewright-apt.log" >&2; exit 1; }
  for package in $missing; do
    install "$package" || echo "could not install $package; what needs it is skipped" >&2
  done
fi
