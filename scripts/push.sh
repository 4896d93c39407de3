#!/bin/sh
# push.sh DIR|TARBALL REGISTRY TAG: pushes the plugin in DIR, or in the TARBALL that
# packages.sh made, as REGISTRY/gangway:TAG. REGISTRY may have a path, as in
# registry.example.org/net. A tag serves one architecture: engines cannot install
# plugins from a multi-platform manifest.
set -eu

docker=${DOCKER:-docker}
dir=$1
registry=${2%/}
tag=$3

fail() {
	echo "push.sh: $*" >&2
	exit 1
}

[ -n "$registry" ] || fail "where to? make push REGISTRY=registry.example.org/net [TAG=latest]"
[ -n "$tag" ] || fail "TAG is empty"
name=$registry/gangway:$tag
case $dir in
*.tar.gz)
	folder=$(mktemp -d)
	trap 'rm -rf "$folder"' EXIT
	tar -xzf "$dir" -C "$folder"
	dir=$folder
	;;
esac

# The engine pushes only what it has, so the plugin is created under the full
# name and removed again.
if $docker plugin inspect "$name" >/dev/null 2>&1; then
	$docker plugin rm "$name" >/dev/null || fail "$name is in use in this engine: disable it, or push from another one"
fi
$docker plugin create "$name" "$dir" >/dev/null
status=0
$docker plugin push "$name" || status=$?
$docker plugin rm "$name" >/dev/null
[ "$status" = 0 ] || exit "$status"
cat <<END
Install it with:
  docker plugin install --alias gangway --grant-all-permissions $name
END
