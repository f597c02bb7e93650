#!/usr/bin/env bash
# Prints the formula of a release: fill.sh ARCHIVE HOMEPAGE TAG, where HOMEPAGE has the archive in its release of the tag.
set -euo pipefail
archive=$1 homepage=$2 tag=$3
sha256=$(sha256sum "$archive" | cut -d " " -f 1)
sed -e "s|URL\"|$homepage/releases/download/$tag/$(basename "$archive")\"|" -e "s|HOMEPAGE|$homepage|" \
  -e "s|SHA256|$sha256|" "$(dirname "$0")/smp.rb"
