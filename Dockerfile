# syntax=docker/dockerfile:1
# The three programs, built once, in one small image; the command says which of them runs.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The queries were checked against a real schema when `.sqlx` was written; none is at hand here.
ENV SQLX_OFFLINE=true
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked <<SH
set -e
cargo build --release --locked --package store-manager --package payments --package outbox-relay
mkdir /programs
cp target/release/store-manager target/release/payments target/release/outbox-relay /programs
strip --strip-debug /programs/* # four fifths of them are line tables
SH

FROM debian:bookworm-slim
# Whom to trust when the database or the collector of traces asks for TLS.
COPY --from=build --link /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build --link /programs /usr/local/bin/
USER 65532:65532
