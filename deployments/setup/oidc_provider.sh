#!/usr/bin/env bash
# oidc_provider.sh: install the tests' OpenID Connect provider from its lock file. Without npm, or network access to it, its tests are skipped.
set -eu
cd "$(dirname "$0")/../.."
from=tests/services/oidc_provider
into=.cache/oidc-provider
want=$(cat $from/package.json $from/package-lock.json | sha256sum)
[ -f $into/.installed ] && [ "$(cat $into/.installed)" = "$want" ] && exit 0

mkdir -p $into
cp $from/package.json $from/package-lock.json $into/
if npm ci --prefix $into --no-audit --no-fund --ignore-scripts >$into/npm.log 2>&1; then
  echo "$want" >$into/.installed
else
  echo "could not install oidc-provider; what needs it is skipped ($into/npm.log)" >&2
fi
