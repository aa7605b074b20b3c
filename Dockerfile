# Airflow with this bundle: dags/ and plugins/ where Airflow looks, include/ on the path.
FROM apache/airflow:3.3.2-python3.12

ENV PYTHONPATH=/opt/airflow/include \
    SLUICEWAY_CONFIG_DIR=/opt/airflow/include/config \
    SLUICEWAY_REPORTS_DIR=/opt/airflow/reports \
    AIRFLOW__CORE__LOAD_EXAMPLES=False

COPY --chown=airflow:root requirements.lock /tmp/requirements.lock
RUN pip install --no-cache-dir --require-hashes --requirement /tmp/requirements.lock \
    && mkdir -p /opt/airflow/reports

COPY --chown=airflow:root include /opt/airflow/include
COPY --chown=airflow:root plugins /opt/airflow/plugins
COPY --chown=airflow:root dags /opt/airflow/dags
