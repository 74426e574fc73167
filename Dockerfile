# docker build -t rlb .
#
# Docker's socket and one label are enough, no file is needed:
#   docker run -d -p 80:80 -v /var/run/docker.sock:/var/run/docker.sock --user 0:0 \
#     --cap-drop ALL --security-opt no-new-privileges --stop-timeout 35 rlb
#   docker run -d --label 'rlb.host=*' nginx
# With a file of your own: -v $PWD/rlb:/etc/rlb:ro. Mount the directory and not the
# file: a file that an editor replaced is not seen through a mount of the old one.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# 13.2 MiB, and 6.0 to pull: Rust 8.6 (3 of it ours; tokio 0.7, rustls 0.5, hyper and h2 0.4),
# aws-lc 2.3 (0.7 of it AES-GCM for AVX-512), tables for unwinding 1.2, libc 0.9.
# Not taken: our own crate at opt-level 2 (0.3 MiB less, a request takes 1.1 % more
# instructions), aws-lc at 2 (0.1 MiB, a handshake 0.8 %) or "s" (1.4 MiB: without the
# fast P-256, the fast AES-GCM and the rest of what makes TLS cheap).
#
# --target keeps the flags away from build scripts. aws-lc and mimalloc take the C
# compiler of the image; nothing unwinds through them. Packed relocations save 0.45 MiB.
# Less is inlined where nobody asked for it: a request takes 0.4 % more instructions.
ENV RUSTFLAGS="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs -C link-arg=-Wl,--icf=all" \
    CFLAGS_x86_64_unknown_linux_gnu="-fno-asynchronous-unwind-tables -fno-unwind-tables"
RUN cargo rustc --profile image --locked --bin rlb --target x86_64-unknown-linux-gnu \
        -- -C llvm-args=-inline-threshold=40 \
    && mkdir -p /image/etc/rlb /image/own/run/rlb /image/own/var/lib/rlb \
    && cp target/x86_64-unknown-linux-gnu/image/rlb /image/rlb \
    && cp config/docker.toml /image/etc/rlb/lb.toml

# docker build --build-arg PACKED=1: 5.7 MiB on disk, for who counts them. Not by default:
# a pull is hardly smaller (5.7), each start unpacks for 55 ms of CPU (a health check is
# one, too), 7 MiB more stay resident and none of it is shared, and scanners see nothing.
ARG PACKED=
RUN [ -z "$PACKED" ] || { \
        echo "deb http://deb.debian.org/debian bookworm-backports main" \
            > /etc/apt/sources.list.d/backports.list \
        && apt-get update \
        && apt-get install -y --no-install-recommends upx-ucl/bookworm-backports \
        && upx-ucl -q -9 /image/rlb; \
    }

FROM scratch
COPY --from=build /image/rlb /rlb
COPY --from=build /image/etc/ /etc/
# The admin socket, and what is kept over a restart.
COPY --from=build --chown=65532:65532 /image/own/ /
ENV PATH=/
# Docker lets any user bind ports below 1024 in a network of its own; with
# --network host they need net.ipv4.ip_unprivileged_port_start or higher ports.
# Docker's socket belongs to root: see config/demo/compose.yaml.
USER 65532:65532
EXPOSE 80 9000
# 30 s for what runs, by default: give it --stop-timeout 35.
STOPSIGNAL SIGTERM
# Alive, not ready: a draining process is to be left alone.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["/rlb", "healthcheck"]
ENTRYPOINT ["/rlb"]
CMD ["-f", "/etc/rlb/lb.toml"]
