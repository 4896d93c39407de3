#!/bin/sh
# version.sh: prints the version of packages that are built from this tree, by the tag
# v1.2.0 or v1.2.0-rc.1 of the commit. Debian and RPM order these alike:
#
#   1.2.0~rc.1 < 1.2.0 < 1.2.0+20261128.201500.g0123456789ab < 1.2.1
#
# A commit behind a tag has its date and time (UTC) in the version, so that a later one
# is newer. A tag has three numbers: RPM would take the date behind two for the third.
set -eu

cd "$(dirname "$0")/.."

if near=$(git describe --tags --match 'v[0-9]*' --abbrev=0 2>/dev/null); then
	commit=$(git rev-parse "$near^{commit}")
	# A release has the tag of its last candidate's commit, too, and is newer.
	tag=$(git -c versionsort.suffix=- tag --points-at "$commit" --list 'v[0-9]*' --sort=-version:refname | head -n 1)
else
	commit=none
	tag=v0.0.0
fi
if ! printf '%s\n' "$tag" | grep -Eqx 'v[0-9]+\.[0-9]+\.[0-9]+(-(alpha|beta|rc)\.[0-9]+)?'; then
	echo "version.sh: tag $tag: want v1.2.0, or v1.2.0-alpha.1, -beta.1, -rc.1" >&2
	exit 1
fi
version=$(printf '%s\n' "${tag#v}" | sed 's/-/~/')
dirty=$(git status --porcelain --untracked-files=no)
if [ "$commit" != "$(git rev-parse HEAD)" ] || [ -n "$dirty" ]; then
	date=$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y%m%d.%H%M%S)
	version=$version+$date.g$(git rev-parse --short=12 HEAD)
fi
[ -z "$dirty" ] || version=$version.dirty
echo "$version"
