# The server, with remotectl. Build it from a checkout after `make build`:
#   docker build -f installers/container/server.Dockerfile -t remote-server .
# Wheels of its dependencies in dist/wheels are used before a package index; PIP_NO_INDEX=1 asks no index at all.
# BASE has no digest here, for the reason that stands in agent.Dockerfile.
ARG BASE=python:3.13-slim

FROM ${BASE} AS installed
ARG PIP_NO_INDEX=
# Only this step has the sources, at a place of their own.
# hadolint ignore=DL3003
RUN --mount=type=bind,target=/source \
    python3 -m venv /opt/remote-server && \
    cd /source && \
    /opt/remote-server/bin/python -m pip install --no-cache-dir --disable-pip-version-check --quiet \
      --require-hashes --only-binary :all: --find-links dist/wheels -r requirements/server.txt && \
    /opt/remote-server/bin/python -m pip install --no-cache-dir --disable-pip-version-check --quiet \
      --no-index --no-deps dist/remote_protocol-*.whl dist/remote_server-*.whl dist/remote_client-*.whl \
      dist/remote_datahub-*.whl && \
    /opt/remote-server/bin/python -m pip uninstall --quiet --yes setuptools pip

FROM ${BASE}
LABEL org.opencontainers.image.title="remote-server" \
      org.opencontainers.image.description="Keeps jobs and gives them to its agents; with remotectl" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN echo 'remote-server:x:10001:10001::/var/lib/remote-server:/usr/sbin/nologin' >>/etc/passwd && \
    echo 'remote-server:x:10001:' >>/etc/group && \
    mkdir -m 700 /var/lib/remote-server && \
    chown 10001:10001 /var/lib/remote-server
COPY --from=installed /opt/remote-server /opt/remote-server
COPY installers/container/healthy.py /usr/local/lib/remote-server/healthy.py
ENV PATH=/opt/remote-server/bin:$PATH \
    REMOTE_SERVER_DATA_DIR=/var/lib/remote-server \
    REMOTE_SERVER_LISTEN=0.0.0.0:8750
VOLUME /var/lib/remote-server
EXPOSE 8750
USER 10001:10001
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
  CMD ["python3", "-I", "/usr/local/lib/remote-server/healthy.py"]
ENTRYPOINT ["remote-server"]
CMD ["run"]
