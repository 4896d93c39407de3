#!/bin/sh
# deps.sh WHAT: installs the programs that WHAT needs and that are missing.
# WHAT is build, plugin, packages, upgrade, lint, vuln, demo, check, test, test-packages, kernels or bench. Nothing that is there is changed.
set -eu

# golangci_version is the linter's version that the configuration is written for.
golangci_version=2.15.0

# govulncheck_version is that of the search for known vulnerabilities.
govulncheck_version=1.8.0

# nfpm_version is that of what makes packages. Newer ones come with forms of packages, and
# modules, that are not needed here.
nfpm_version=2.45.1

# gotestsum_version is that of what counts tests, and lists those that were skipped.
gotestsum_version=1.13.0

# lock_seconds is how long to wait for another program that installs packages.
lock_seconds=600

fail() {
	echo "deps.sh: $*" >&2
	exit 1
}

# have says whether program $1 can be found; root's folders count for everyone.
have() { PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null; }

# need PROGRAM PACKAGE remembers the package if the program is missing.
missing=
need() { have "$1" || want "$2"; }

want() {
	case "$missing " in
	*" $1 "*) ;;
	*) missing="$missing $1" ;;
	esac
}

# install_missing installs the remembered Debian packages.
install_missing() {
	[ -n "$missing" ] || return 0
	have apt-get || fail "install the programs of these Debian packages first:$missing"
	[ "$(id -u)" = 0 ] || fail "missing packages; run as root: apt-get install$missing"
	echo "Installing$missing ..." >&2
	log=$(mktemp)
	export DEBIAN_FRONTEND=noninteractive
	# The lists may be absent or too old on a fresh machine. A source that
	# cannot be reached is no reason to give up: the install tells.
	# Other programs install packages, too: unattended-upgrades, right after a boot.
	wait=DPkg::Lock::Timeout=$lock_seconds
	# shellcheck disable=SC2086 # a list of words
	if ! { apt-get -o "$wait" update -q; apt-get -o "$wait" install -q -y --no-install-recommends $missing; } >"$log" 2>&1; then
		cat "$log" >&2
		rm -f "$log"
		fail "apt-get could not install:$missing"
	fi
	rm -f "$log"
	# Of these only the program is needed, not a service on port 5000 or 9090.
	for service in docker-registry prometheus; do
		case "$missing " in
		*" $service "*)
			[ ! -d /run/systemd/system ] || systemctl disable --now "$service.service"
			;;
		esac
	done
}

# debian prints the system's major version.
debian() { sed -n 's/^VERSION_ID="\{0,1\}\([0-9]*\).*/\1/p' /etc/os-release; }

need_go() {
	have go || fail "Go is missing (go.mod says which version): https://go.dev/dl"
}

need_linter() {
	need shellcheck shellcheck
	for candidate in build/bin/golangci-lint golangci-lint; do
		have "$candidate" && "$candidate" --version | grep -q "version v\{0,1\}$golangci_version " && return
	done
	echo "Installing golangci-lint $golangci_version ..." >&2
	GOBIN=$PWD/build/bin go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$golangci_version"
}

need_gotestsum() {
	for candidate in build/bin/gotestsum gotestsum; do
		have "$candidate" && go version -m "$(command -v "$candidate")" | grep -q "gotest.tools/gotestsum.v$gotestsum_version\b" && return
	done
	echo "Installing gotestsum $gotestsum_version ..." >&2
	GOBIN=$PWD/build/bin go install "gotest.tools/gotestsum@v$gotestsum_version"
}

# need_check is what the tests without engines need.
need_check() {
	need_linter
	need_gotestsum
	need iptables iptables
	need nft nftables
	need ip iproute2
	need conntrack conntrack
	need git git
	need dbus-daemon dbus-daemon
	need ping iputils-ping
	need tcpdump tcpdump
	need tshark tshark
	need dot graphviz
	need dnsmasq dnsmasq-base
	[ -e /usr/share/bash-completion/bash_completion ] || want bash-completion
	need zsh zsh
	need fish fish
}

need_govulncheck() {
	for candidate in build/bin/govulncheck govulncheck; do
		have "$candidate" && go version -m "$(command -v "$candidate")" | grep -q "golang.org/x/vuln.v$govulncheck_version\b" && return
	done
	echo "Installing govulncheck $govulncheck_version ..." >&2
	GOBIN=$PWD/build/bin go install "golang.org/x/vuln/cmd/govulncheck@v$govulncheck_version"
}

need_nfpm() {
	for candidate in build/bin/nfpm nfpm; do
		have "$candidate" && go version -m "$(command -v "$candidate")" | grep -q "nfpm/v2.v$nfpm_version\b" && return
	done
	echo "Installing nfpm $nfpm_version ..." >&2
	GOBIN=$PWD/build/bin go install "github.com/goreleaser/nfpm/v2/cmd/nfpm@v$nfpm_version"
}

need_packages() {
	need_nfpm
	need git git
	need dpkg-deb dpkg
	need readelf binutils
}

need_plugin() {
	need iptables iptables
	need ldd libc-bin
	need flock util-linux
}

need_engine() {
	need dockerd docker.io
	# From Debian trixie on the command is a package of its own.
	have docker || case $(debian) in
	12) want docker.io ;;
	*) want docker-cli ;;
	esac
	[ ! -d /sys/kernel/security/apparmor ] || need apparmor_parser apparmor
	need ip iproute2
	need nft nftables
	need busybox busybox
	need unshare util-linux
}

need_kernels() {
	need mmdebstrap mmdebstrap
	need qemu-system-x86_64 qemu-system-x86
	need mke2fs e2fsprogs
	need busybox busybox
	need unshare util-linux
	need xz xz-utils
	need git git
}

cd "$(dirname "$0")/.."
need_go
case ${1:-} in
build) ;;
plugin) need_plugin ;;
packages) need_packages ;;
upgrade) need docker-registry docker-registry ;;
lint) need_linter ;;
vuln) need_govulncheck ;;
demo)
	need_plugin
	need_engine
	;;
check) need_check ;;
test)
	need_check
	need_plugin
	need_engine
	need gcc gcc # the race detector
	[ -e /usr/include/stdlib.h ] || want libc6-dev
	need mmdebstrap mmdebstrap
	need docker-registry docker-registry
	need iperf3 iperf3
	need prometheus prometheus
	need chromium chromium
	need systemd-analyze systemd
	need rpm rpm
	need_kernels
	;;
test-packages)
	need_plugin
	need_packages
	need_engine
	need mmdebstrap mmdebstrap
	need mandoc mandoc
	need rpm rpm
	need qemu-aarch64-static qemu-user-static
	;;
kernels) need_kernels ;;
bench)
	need_engine
	need mmdebstrap mmdebstrap
	need iptables iptables
	need nft nftables
	need iperf3 iperf3
	;;
*) fail "unknown: '${1:-}'; one of build, plugin, packages, upgrade, lint, vuln, demo, check, test, test-packages, kernels, bench" ;;
esac
install_missing
