#!/bin/sh
# engines.sh SUITE[+KIND]...: makes the root trees that the engine tests run
# dockerd from, one a Debian suite, in ${GANGWAY_CACHE:-/var/cache/gangway}/engines/SUITE.
# A tree with +managers also has the managers of a host's firewall and sysctls, one
# with +systemd what a host boots with, and rpm to install Red Hat's kind of package.
# One with +kernel holds the suite's kernel with its modules, unpacked and not
# set up; one with +guest is what tests run in on such a kernel: no engine, but
# the tools that tests call. One with +fresh has nothing but what brings the project there.
# One with +peers has what other projects connect containers with, and no engine. One with +npm
# has npm, which containers get as a mount.
#
# A tree that is complete already is left alone. Parallel callers wait for each
# other, and a tree appears under its name only when it is complete. The mirror
# is the one the machine's own apt sources name, or $GANGWAY_MIRROR.
set -eu

cache=${GANGWAY_CACHE:-/var/cache/gangway}/engines

# packages prints what the tree $1 holds besides Debian's base. The list is also
# the tree's stamp: another list makes another tree. Whatever a package starts
# when it is installed is not started: mmdebstrap sees to it.
packages() {
	case $1 in
	*+kernel)
		echo linux-image-cloud-amd64,busybox-static
		return
		;;
	*+guest)
		echo iptables,nftables,iproute2,conntrack,iputils-ping,procps,kmod,mount,util-linux,dbus-daemon,busybox,mawk
		return
		;;
	*+fresh)
		echo git,make,ca-certificates,iproute2
		return
		;;
	*+peers)
		echo containernetworking-plugins,netavark,iptables,nftables,iproute2
		return
		;;
	*+npm)
		echo npm,ca-certificates
		return
		;;
	esac
	cli=docker-cli,
	more=
	case $1 in
	bookworm*) cli= ;; # there docker.io has the client
	esac
	case $1 in
	*+managers) more=,firewalld,python3-nftables,ufw,procps ;;
	*+systemd) more=,systemd,rpm ;;
	esac
	echo "docker.io,${cli}docker-compose,iptables,nftables,iproute2,ca-certificates,conntrack,busybox$more"
}

# mirror prints the archive that the machine installs its own Debian from. apt
# itself is asked, so that every format of its source lists is understood.
mirror() {
	if [ -n "${GANGWAY_MIRROR:-}" ]; then
		echo "$GANGWAY_MIRROR"
		return
	fi
	# shellcheck disable=SC1091 # a file of the system
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-none}")
	# shellcheck disable=SC2016 # apt's own variables
	apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
		awk -v own="$codename" '
			$2 == "main" && ($1 == own || $1 ~ /^(stable|testing|unstable|sid)$/) { print $3; exit }'
}

# bootstrap makes the tree $1 in folder $2. An archive that was frozen
# at a date fails the check of its own expiry; only that check is given up then,
# never the one of its signature.
bootstrap() {
	url=$(mirror)
	if [ -z "$url" ]; then
		echo "engines.sh: no Debian mirror in apt's sources; set GANGWAY_MIRROR" >&2
		return 1
	fi
	variant=apt
	case $1 in
	*+kernel) variant=extract ;;
	*+guest) variant=essential ;;
	*+fresh | *+peers | *+npm) variant=minbase ;;
	esac
	for check in true false; do
		rm -rf "$2"
		mmdebstrap --variant=$variant --include="$(packages "$1")" \
			--aptopt="Acquire::Check-Valid-Until \"$check\"" "${1%+*}" "$2" "$url" 2>"$2.log" && return
		grep -q 'is expired' "$2.log" || break
	done
	cat "$2.log" >&2
	return 1
}

make_tree() {
	tree=$cache/$1
	stamp=$tree/.gangway-packages
	[ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(packages "$1")" ] && return
	tmp=$cache/$1.new
	bootstrap "$1" "$tmp"
	packages "$1" >"$tmp/.gangway-packages"
	if [ -e "$tree" ]; then
		rm -rf "$tree.old"
		mv "$tree" "$tree.old"
	fi
	mv "$tmp" "$tree"
	rm -rf "$tree.old" "$tmp.log"
}

command -v mmdebstrap >/dev/null || {
	echo "engines.sh: mmdebstrap is missing: apt-get install mmdebstrap" >&2
	exit 1
}
mkdir -p "$cache"
for suite in "$@"; do
	exec 9>"$cache/$suite.lock"
	flock 9
	make_tree "$suite"
	exec 9>&-
done
