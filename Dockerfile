# docker build -t rlb .
# docker run -p 8080:8080 -v $PWD/conf:/etc/rlb:ro rlb
#
# The health check asks /run/rlb/admin.sock; set RLB_ADMIN where the file says
# another socket. Mount the directory and not the file: a file that an editor
# replaced is not seen through a mount of the old one.
FROM rust:1.95-slim-bookworm AS build
# The image has the C compiler that mimalloc needs.
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin rlb

FROM debian:bookworm-slim
RUN groupadd --system --gid 999 rlb \
    && useradd --system --uid 999 --gid rlb --home-dir /var/lib/rlb --shell /usr/sbin/nologin rlb \
    && install -d -o rlb -g rlb -m 0750 /run/rlb /var/lib/rlb \
    && install -d /etc/rlb
COPY --from=build /src/target/release/rlb /usr/local/bin/rlb
USER rlb
# Docker lets any user bind ports below 1024; elsewhere choose higher ones, or
# add CAP_NET_BIND_SERVICE and net.ipv4.ip_unprivileged_port_start.
STOPSIGNAL SIGTERM
# Alive, not ready: a draining process is to be left alone.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["rlb", "healthcheck"]
ENTRYPOINT ["rlb"]
CMD ["-f", "/etc/rlb/lb.toml"]
