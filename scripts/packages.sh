#!/bin/sh
# packages.sh DIR: builds the packages into the empty folder DIR: deb, rpm and tar.gz,
# the managed plugin, bills of materials, and SHA256SUMS.
#
# VERSION is scripts/version.sh's unless set, ARCHES "amd64 arm64", KINDS "deb rpm tar
# plugin". The same commit, Go and Debian packages (of the plugin) give the same bytes,
# in whatever folder and on whatever day: dates are those of the commit.
set -eu

cd "$(dirname "$0")/.."
umask 022
out=$1
: "${VERSION:=$(scripts/version.sh)}" "${ARCHES:=amd64 arm64}" "${KINDS:=deb rpm tar plugin}"
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}" "${COMMIT:=$(git rev-parse --short=12 HEAD)}"
export VERSION SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
mkdir -p "$out" build
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
debs=$PWD/build/debs

fail() {
	echo "packages.sh: $*" >&2
	exit 1
}

[ -z "$(ls -A "$out")" ] || fail "$out is not empty"

# kind says whether packages of this kind are asked for.
kind() { case " $KINDS " in *" $1 "*) ;; *) return 1 ;; esac; }

# put MODE FILE PLACE puts a file below root.
put() { install -D -m "$1" "$2" "$root$3"; }

# pack FOLDER... writes a tar.gz in which nothing depends on when and by whom.
pack() {
	tar -c --format=gnu --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner "$@" | gzip -9n
}

# unit puts a systemd unit with the program at its place.
unit() {
	sed "s|/usr/local/bin/gangway|/usr/bin/gangway|; s|^Documentation=|&man:gangway(8) |" "packaging/$1" >"$work/$1"
	put 644 "$work/$1" "/usr/lib/systemd/system/$1"
}

# script KIND/NAME writes a script of a package: what all have in common, and its own.
script() {
	mkdir -p "$(dirname "$here/scripts/$1")"
	{
		echo '#!/bin/sh'
		echo 'set -e'
		cat packaging/common.sh "packaging/$1"
	} >"$here/scripts/$1"
}

# licences writes on what terms the program and what it is built from can be had.
licences() {
	cat <<END
Gangway, https://github.com/gangway-net/gangway
Licensed under the Apache License, Version 2.0:

END
	cat LICENSE
	echo
	"$work/generate" notices "$1"
}

# prepare fills root, as it is installed.
prepare() {
	put 755 "$work/gangway-$arch" /usr/bin/gangway
	# Where docker finds it as "docker gangway".
	mkdir -p "$root/usr/libexec/docker/cli-plugins"
	ln -s ../../../bin/gangway "$root/usr/libexec/docker/cli-plugins/docker-gangway"
	unit gangway.service
	unit gangway.socket
	unit gangway-api.service
	put 644 packaging/gangway.network /usr/lib/systemd/network/00-gangway.network
	put 644 packaging/gangway-networkmanager.conf /usr/lib/NetworkManager/conf.d/00-gangway.conf
	put 644 "$work/text/gangway.default" /etc/default/gangway
	put 644 "$work/text/gangway.8.gz" /usr/share/man/man8/gangway.8.gz
	put 644 "$work/text/gangway-options.7.gz" /usr/share/man/man7/gangway-options.7.gz
	put 644 packaging/gangway-completion.bash /usr/share/bash-completion/completions/gangway
	put 644 packaging/docker-completion.bash /etc/bash_completion.d/gangway
	put 644 "$work/text/gangway.fish" /usr/share/fish/vendor_completions.d/gangway.fish
	put 644 packaging/docker-completion.fish /etc/fish/completions/docker.fish
	put 644 "$work/text/_gangway" /usr/share/zsh/site-functions/_gangway
	put 644 packaging/docker-completion.zsh /usr/share/zsh/site-functions/_gangway_docker
	put 644 packaging/metrics/gangway-alerts.yml /usr/share/doc/gangway/examples/gangway-alerts.yml
	put 644 packaging/metrics/gangway-dashboard.json /usr/share/doc/gangway/examples/gangway-dashboard.json
	licences "$work/gangway-$arch" >"$work/copyright"
	put 644 "$work/copyright" /usr/share/doc/gangway/copyright
	find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
}

# plugin makes the managed plugin from Debian's iptables of the architecture.
plugin() {
	scripts/debs.sh "$arch" "$debs/$arch" iptables
	folder=$here/gangway-plugin
	mkdir -p "$folder/rootfs"
	cp config.json "$folder/"
	scripts/rootfs.sh "$folder/rootfs" "$work/gangway-$arch" "$debs/$arch/tree"
	# The licences of the packages of which something is in it, and the list of these.
	find "$folder/rootfs" ! -type d -printf '/%P\n' | sort >"$here/files"
	while read -r name version architecture; do
		grep -Fxq -f "$here/files" "$debs/$arch/$name.files" || continue
		echo "$name $version $architecture"
		install -D -m 644 "$debs/$arch/tree/usr/share/doc/$name/copyright" "$folder/rootfs/usr/share/doc/$name/copyright"
	done <"$debs/$arch/packages" >"$here/debian"
	install -D -m 644 "$work/copyright" "$folder/rootfs/usr/share/doc/gangway/copyright"
	pack -C "$folder" config.json rootfs >"$out/gangway-plugin_${VERSION}_$arch.tar.gz"
	"$work/generate" sbom "$work/gangway-$arch" "$here/debian" >"$out/gangway-plugin_${VERSION}_$arch.spdx.json"
}

export GOFLAGS=-buildvcs=false CGO_ENABLED=0
go build -trimpath -o "$work/generate" ./packaging/generate
mkdir "$work/text"
"$work/generate" text "$work/text"
"$work/generate" changelog CHANGELOG.md >"$work/changelog.yaml"
gzip -9n "$work"/text/*.[78]

for arch in $ARCHES; do
	here=$work/$arch
	root=$here/root
	mkdir -p "$root"
	GOOS=linux GOARCH=$arch GOAMD64=v1 GOARM64=v8.0 go build -trimpath \
		-ldflags "-s -w -X main.version=$VERSION -X main.commit=$COMMIT" -o "$work/gangway-$arch" .
	prepare
	for name in deb/postinst deb/prerm deb/postrm rpm/post rpm/preun rpm/postun; do script "$name.sh"; done
	cp packaging/nfpm.yaml "$work/changelog.yaml" "$here/"
	for format in deb rpm; do
		kind "$format" || continue
		(cd "$here" && GOARCH=$arch PATH="$OLDPWD/build/bin:$PATH" nfpm package -f nfpm.yaml -p "$format" -t "$out/") >"$work/log" || {
			cat "$work/log" >&2
			fail "nfpm makes no $format of $arch"
		}
	done
	if kind tar; then
		mv "$root" "$here/gangway-$VERSION"
		pack -C "$here" "gangway-$VERSION" >"$out/gangway-$VERSION-linux-$arch.tar.gz"
		mv "$here/gangway-$VERSION" "$root"
	fi
	"$work/generate" sbom "$work/gangway-$arch" >"$out/gangway_${VERSION}_$arch.spdx.json"
	if kind plugin; then plugin; fi
done
cd "$out"
sha256sum -- * >"$work/sums"
mv "$work/sums" SHA256SUMS
echo "$out: version $VERSION"
