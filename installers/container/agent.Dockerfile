# The agent. Build it from a checkout after `make build`; BASE is whatever image your jobs need around them:
#   docker build -f installers/container/agent.Dockerfile --build-arg BASE=debian:12-slim -t remote-agent .
# BASE has no digest here: one that stood in this file would keep known faults of the base image for ever. A release is
# built with --build-arg BASE=debian:12-slim@sha256:… of its day, and its image is what a digest then names.
ARG BASE=debian:12-slim

# An image is verified by its digest: what the binary would unpack and verify at each start lies there unpacked.
FROM ${BASE} AS unpacked
RUN --mount=type=bind,source=dist,target=/dist \
    REMOTE_AGENT_PROGRAM_DIR=/opt/remote-agent /dist/remote-agent --version && \
    chmod -R a+rX,go-w /opt/remote-agent

FROM ${BASE}
LABEL org.opencontainers.image.title="remote-agent" \
      org.opencontainers.image.description="Runs jobs of a remote-server, in this container" \
      org.opencontainers.image.licenses="Apache-2.0"
# Certificates of public authorities, for a server that has one of theirs.
# Their latest version is wanted, whatever its number.
# hadolint ignore=DL3008
RUN [ -e /etc/ssl/certs/ca-certificates.crt ] || { \
      apt-get update && apt-get install -y --no-install-recommends ca-certificates && \
      rm -rf /var/lib/apt/lists/*; }
RUN echo 'remote-agent:x:10001:10001::/home/remote-agent:/bin/sh' >>/etc/passwd && \
    echo 'remote-agent:x:10001:' >>/etc/group && \
    mkdir -m 700 /home/remote-agent /var/lib/remote-agent && \
    chown 10001:10001 /home/remote-agent /var/lib/remote-agent
COPY --from=unpacked /opt/remote-agent /opt/remote-agent
RUN ln -s "$(find /opt/remote-agent -type f -name remote-agent)" /usr/local/bin/remote-agent && \
    remote-agent --version
# With the container, its jobs end: a stop lets them finish first.
ENV REMOTE_AGENT_STATE_DIR=/var/lib/remote-agent \
    REMOTE_AGENT_LIVENESS_FILE=/var/lib/remote-agent/live \
    REMOTE_AGENT_READINESS_FILE=/var/lib/remote-agent/ready \
    REMOTE_AGENT_ON_STOP=drain
VOLUME /var/lib/remote-agent
USER 10001:10001
# The shell works the variable out: another file may be named when the container is started.
# hadolint ignore=DL3025
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s \
  CMD find "$REMOTE_AGENT_LIVENESS_FILE" -mmin -1 | grep -q .
ENTRYPOINT ["remote-agent"]
CMD ["run"]
