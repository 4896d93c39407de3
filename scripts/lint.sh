#!/bin/sh
# lint.sh: format, vet, linters, shell scripts.
set -eu

cd "$(dirname "$0")/.."
export PATH="$PWD/build/bin:$PATH"
unformatted=$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l)
if [ -n "$unformatted" ]; then
	echo "not formatted (gofmt -w): $unformatted" >&2
	exit 1
fi
go vet ./...
golangci-lint run ./...
git ls-files -co --exclude-standard '*.sh' '*.bash' .ci/run | xargs shellcheck
