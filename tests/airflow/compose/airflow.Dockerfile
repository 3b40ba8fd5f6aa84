# What Airflow's Compose file and ours expect of the image apache/airflow: user, folders, entry point, `pip`.
FROM base
RUN --mount=type=bind,target=/source \
    python3 -m venv /home/airflow/.local && \
    /home/airflow/.local/bin/python -m pip install --no-cache-dir --disable-pip-version-check --quiet --no-index \
      --find-links /source/dist/airflow-wheels apache-airflow-core asyncpg psycopg2-binary "psycopg[binary]" apache-airflow-providers-standard \
      apache-airflow-providers-fab apache-airflow-providers-celery "celery[redis]"
COPY --chmod=755 entrypoint.sh /entrypoint
RUN echo 'airflow:x:50000:0::/home/airflow:/bin/bash' >>/etc/passwd && \
    mkdir -p /opt/airflow && chown -R 50000:0 /opt/airflow /home/airflow && chmod -R g=u /opt/airflow /home/airflow
ENV PATH=/home/airflow/.local/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin AIRFLOW_HOME=/opt/airflow HOME=/home/airflow
WORKDIR /opt/airflow
USER 50000
ENTRYPOINT ["/entrypoint"]
