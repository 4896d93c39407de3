#!/bin/sh
# demo.sh up|down|shell: shows Gangway at work in the local Docker engine, or in
# a private one where none runs, and removes all of it again.
#
# PORT is the host port to publish, DEMO the name that everything made here
# starts with. What cannot have that name is written down in $dir before it is
# made, so that "down" also cleans up after an "up" that failed half-way.
set -eu

cd "$(dirname "$0")/.."
here=$PWD
PATH=$PATH:/usr/sbin:/sbin
name=${DEMO:-gangway-demo}
dir=/var/lib/$name
image=$name:latest
# The other host's network is one of those for documentation (RFC 5737).
veth=gwdemo0
host=198.51.100.1
other=198.51.100.2
port=${PORT:-8080}
gangway=$here/build/gangway

# --- words -------------------------------------------------------------------

if [ -t 1 ]; then
	bold=$(printf '\033[1m') dim=$(printf '\033[2m') plain=$(printf '\033[0m')
else
	bold='' dim='' plain=''
fi

title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
say() { printf '%s\n' "$*"; }

fail() {
	echo "demo: $*" >&2
	exit 1
}

# show prints a command, runs it beside the engine and indents what it prints.
show() {
	printf '%s  $ %s%s\n' "$dim" "$(printf '%s' "$*" | sed "s|$here/||g")" "$plain"
	if ! output=$(engine "$@" 2>&1); then
		printf '%s\n' "$output" >&2
		fail "that command failed; 'make demo-clean' removes what was made"
	fi
	[ -z "$output" ] || printf '%s\n' "$output" | sed 's/^/    /'
}

# --- processes ---------------------------------------------------------------

# born prints when process $1 was started; with its id that names a process for
# ever, also when the id is used again.
born() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# remember NAME PID writes a process down.
remember() { echo "$2 $(born "$2")" >"$dir/$1.pid"; }

# pid_of prints the id of the remembered process $1 if it still runs.
pid_of() {
	[ -f "$dir/$1.pid" ] || return 1
	read -r pid start <"$dir/$1.pid"
	[ -n "$start" ] && [ "$(born "$pid")" = "$start" ] && echo "$pid"
}

# wait_for SECONDS COMMAND... polls until the command succeeds.
wait_for() {
	deadline=$(($(date +%s) + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$deadline" ] || return 1
		sleep 0.1
	done
}

ended() { ! pid_of "$1"; }

# end stops a remembered process: politely, then for certain.
end() {
	pid=$(pid_of "$1") || return 0
	kill -TERM "$pid"
	wait_for 20 ended "$1" || kill -KILL "$pid"
	wait_for 10 ended "$1" || fail "process $pid ($1) does not end"
}

# --- the engine --------------------------------------------------------------

# engine runs a command where the engine is.
engine() {
	if pid=$(pid_of engine); then
		nsenter --target "$pid" --root --mount --net --pid -- env -u DOCKER_HOST -u DOCKER_CONTEXT "$@"
	else
		"$@"
	fi
}

# on_network runs a command in the engine's network namespace, but with this
# machine's process ids.
on_network() {
	if pid=$(pid_of engine); then
		nsenter --target "$pid" --net -- "$@"
	else
		"$@"
	fi
}

outside() { nsenter --target "$(pid_of outside)" --net -- "$@"; }

start_engine() {
	if docker version >/dev/null 2>&1; then
		say "The Docker engine of this machine is used."
		return
	fi
	say "No Docker engine runs here: a private one is started. It has its own network,"
	say "processes and files, and touches nothing of this machine."
	setsid unshare --net --mount --pid --fork --kill-child --mount-proc \
		sh "$here/scripts/demo-engine.sh" "$dir" "$name" >"$dir/engine.log" 2>&1 </dev/null &
	unshare=$!
	remember unshare "$unshare"
	wait_for 5 grep -q . "/proc/$unshare/task/$unshare/children" || fail "no engine: see $dir/engine.log"
	remember engine "$(tr -d ' ' <"/proc/$unshare/task/$unshare/children")"
	if ! wait_for 60 engine docker version; then
		tail -n 20 "$dir/engine.log" >&2
		fail "the private engine does not start; its log is $dir/engine.log"
	fi
}

# make_image makes an image of this machine's busybox: no registry is needed.
make_image() {
	root=$dir/image
	mkdir -p "$root/bin" "$root/www/cgi-bin" "$root/etc" "$root/tmp"
	cp "$(command -v busybox)" "$root/bin/busybox"
	for applet in $(busybox --list); do
		[ "$applet" = busybox ] || ln -sf busybox "$root/bin/$applet"
	done
	ldd "$root/bin/busybox" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
		cp -L --parents "$library" "$root"
	done
	# shellcheck disable=SC2016 # for the shell in the container
	printf '%s\n' '#!/bin/sh' 'printf "Content-Type: text/plain\n\n"' \
		'echo "Hello from container $(hostname). You are $REMOTE_ADDR."' >"$root/www/cgi-bin/hello"
	chmod 755 "$root/www/cgi-bin/hello"
	tar -C "$root" -c . | engine docker import - "$image" >/dev/null
}

install_plugin() {
	if engine docker plugin inspect gangway:latest >/dev/null 2>&1; then
		say "The plugin gangway:latest is installed already and is used as it is."
	else
		touch "$dir/plugin"
		show docker plugin create gangway "$here/build/plugin"
	fi
	if [ "$(engine docker plugin inspect -f '{{.Enabled}}' gangway:latest)" = false ]; then
		show docker plugin enable gangway
	fi
}

# make_outside makes another host: a network namespace with a cable to ours.
make_outside() {
	unshare --net sleep infinity </dev/null >/dev/null 2>&1 &
	pid=$!
	remember outside "$pid"
	different() { [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
	wait_for 5 different || fail "no new network namespace"
	on_network ip link add "$veth" type veth peer name eth0 netns "$pid"
	on_network ip addr add "$host/24" dev "$veth"
	on_network ip link set "$veth" up
	outside ip link set lo up
	outside ip addr add "$other/24" dev eth0
	outside ip link set eth0 up
}

ask() { outside timeout 2 busybox wget -q -O - "http://$host:$port/cgi-bin/hello"; }

# ours refuses what another clone of the project has made, as long as that clone is
# there: its demo may be in use.
ours() {
	clone=$(cat "$dir/clone" 2>/dev/null) || return 0
	[ "$clone" = "$here" ] || [ ! -d "$clone" ] ||
		fail "there is a demo of $clone: run 'make demo-clean' there, or choose another name here: make $1 DEMO=$name-2"
}

# --- up ----------------------------------------------------------------------

up() {
	[ "$(id -u)" = 0 ] || fail "run it as root: it starts containers and makes network namespaces"
	ours demo
	down
	mkdir -p "$dir"
	printf '%s\n' "$here" >"$dir/clone"
	title "1. An engine with the plugin"
	start_engine
	install_plugin
	make_image

	title "2. A network and two containers, one with a published port"
	show docker network create -d gangway:latest --ipam-driver gangway:latest --subnet 10.123.0.0/24 "$name"
	show docker run -d --init --name "$name-web" --hostname web --network "$name" -p "$port:80" "$image" httpd -f -p 0.0.0.0:80 -h /www
	show docker run -d --init --name "$name-client" --hostname client --network "$name" "$image" sleep 1000000
	wait_for 10 engine docker exec "$name-client" timeout 2 wget -q -O /dev/null "http://$name-web/cgi-bin/hello" ||
		fail "the web server does not answer in its own network"

	title "3. Asked from another host, $other, and from the other container"
	make_outside
	wait_for 10 ask || fail "no answer on port $port; is there a firewall on this machine?"
	printf '%s  $ wget -O - http://%s:%s/cgi-bin/hello      (on the other host)%s\n' "$dim" "$host" "$port" "$plain"
	ask | sed 's/^/    /'
	show docker exec "$name-client" wget -q -O - "http://$name-web/cgi-bin/hello"
	say "  The container sees the real address of who asks; no proxy is in between."

	title "4. What Gangway says"
	show "$gangway" networks
	show "$gangway" endpoints
	show "$gangway" ports

	title "5. What is in the kernel"
	bridge=gw-$(engine docker network inspect -f '{{.Id}}' "$name" | cut -c1-12)
	show ip -br addr show dev "$bridge"
	show ip -br link show master "$bridge"
	show docker exec "$name-web" ip route
	if engine nft list table inet gangway >/dev/null 2>&1; then
		show nft list map inet gangway port4
		show nft list set inet gangway masquerade4
		show nft list chain inet gangway into_network
		show iptables -S FORWARD
	else
		show iptables -t nat -S GANGWAY-DNAT
		show iptables -t nat -S GANGWAY-SNAT
		show iptables -S GANGWAY-FORWARD
		show iptables -S GANGWAY-INTO-NETWORK
	fi
	go_on
}

go_on() {
	title "Going on"
	if pid_of engine >/dev/null; then
		say "  scripts/demo.sh shell   a shell beside the private engine: docker, ip and iptables work there"
		say "  build/gangway --help    to be used in that shell: status, networks, endpoints, ports"
	else
		say "  build/gangway --help    status, networks, endpoints, ports"
	fi
	say "  make demo-clean         remove all of this"
}

# --- down --------------------------------------------------------------------

# remove_cgroups removes the private engine's, and says whether none is left.
remove_cgroups() {
	for group in "/sys/fs/cgroup/$name" /sys/fs/cgroup/*/"$name"; do
		[ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + || return 1
	done
}

# down removes what is there, whatever became of the rest.
down() {
	[ -d "$dir" ] || return 0
	if engine docker version >/dev/null 2>&1; then
		engine docker rm -f "$name-web" "$name-client" >/dev/null 2>&1 || true
		engine docker network rm "$name" >/dev/null 2>&1 || true
		engine docker rmi "$image" >/dev/null 2>&1 || true
		if [ -f "$dir/plugin" ]; then
			engine docker plugin rm -f gangway:latest >/dev/null 2>&1 || true
		fi
	fi
	if on_network ip link show "$veth" >/dev/null 2>&1; then
		on_network ip link del "$veth"
	fi
	end outside
	# The engine's end is the end of all its processes and mounts.
	end engine
	end unshare
	# The last processes leave their cgroup a moment after their end.
	wait_for 10 remove_cgroups || fail "cgroups are left below /sys/fs/cgroup/*/$name"
	rm -rf "$dir"
}

case ${1:-} in
up) up ;;
down)
	[ "$(id -u)" = 0 ] || fail "run it as root"
	ours demo-clean
	down
	say "Nothing of the demo is left."
	;;
shell)
	pid=$(pid_of engine) || fail "no private engine runs; is there a demo?"
	exec nsenter --target "$pid" --root --mount --net --pid -- env -u DOCKER_HOST -u DOCKER_CONTEXT \
		PATH="$here/build:$PATH" PS1='gangway-demo# ' sh
	;;
*) fail "unknown: '${1:-}'; one of up, down, shell" ;;
esac
