# The root file system of the managed plugin, for those who build it with Docker:
#
#   docker build --output build/plugin/rootfs . && cp config.json build/plugin/
#
# `make plugin` makes the same folder without Docker and without a registry.

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
ARG COMMIT=unknown
RUN CGO_ENABLED=0 go build -trimpath \
	-ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT}" -o /gangway .

FROM debian:bookworm-slim AS rootfs
RUN apt-get update && apt-get install -y --no-install-recommends iptables
COPY scripts/rootfs.sh /
COPY --from=build /gangway /
RUN mkdir /rootfs && sh /rootfs.sh /rootfs /gangway

FROM scratch
COPY --from=rootfs /rootfs /
