# What tasks need around them in an agent's container: an environment with Airflow. An agent's image is built on it:
#   docker build -f installers/airflow/tasks.Dockerfile -t airflow-tasks:AIRFLOW .
#   docker build -f installers/container/agent.Dockerfile --build-arg BASE=airflow-tasks:AIRFLOW -t remote-agent-airflow:AIRFLOW .
# Name the providers of your DAGs in PACKAGES. Wheels in dist/airflow-wheels are used before a package index;
# PIP_NO_INDEX=1 asks no index at all.
ARG BASE=python:3.12-slim
FROM ${BASE}
ARG AIRFLOW=3.3.2
ARG PACKAGES=apache-airflow-providers-standard
ARG PIP_NO_INDEX=
# The folder of wheels may be missing. A list of packages is meant to be several words.
# hadolint ignore=SC2086
RUN --mount=type=bind,target=/source \
    python3 -m venv /opt/airflow/venv && \
    /opt/airflow/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --quiet \
      --find-links /source/dist/airflow-wheels "apache-airflow-core==${AIRFLOW}" ${PACKAGES}
