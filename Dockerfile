# Airflow with this bundle: dags/ and plugins/ where Airflow looks, include/ on the path, FAB for users and roles.
#   docker build --build-arg BUILD_ID="$(git rev-parse HEAD)" --tag sluiceway .
# docs/how-to/access.md says what to run once against a new metadata database.
FROM apache/airflow:3.3.2-python3.12

# 50000 is the base image's user airflow: as root it refuses to install packages; a number lets Kubernetes see non-root
USER 50000
COPY requirements.lock /tmp/requirements.lock
RUN pip install --no-cache-dir --require-hashes --requirement /tmp/requirements.lock

ENV PYTHONPATH=/opt/airflow/include \
    SLUICEWAY_CONFIG_DIR=/opt/airflow/include/config \
    SLUICEWAY_REPORTS_DIR=/opt/airflow/reports \
    AIRFLOW__CORE__AUTH_MANAGER=airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS=0o770 \
    AIRFLOW__LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS=0o660

# deploy/recovery.env: ENV reads no file
ENV AIRFLOW__CORE__HOSTNAME_CALLABLE=socket.gethostname \
    AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL=1 \
    AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS=150 \
    AIRFLOW__WORKERS__EXECUTION_API_RETRIES=20 \
    AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX=15 \
    AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT=90 \
    AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL=30 \
    AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT=120 \
    AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL=15 \
    AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD=15 \
    AIRFLOW__CELERY__OPERATION_TIMEOUT=10 \
    AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT=86400

# the code belongs to root: what runs in the container cannot change it
USER 0
COPY include /opt/airflow/include
COPY LICENSE /opt/airflow/include/sluiceway/LICENSE
COPY plugins /opt/airflow/plugins
COPY dags /opt/airflow/dags
COPY airflow_settings.yaml /opt/airflow/airflow_settings.yaml

# last, because it changes with every build; no build without a name
ARG BUILD_ID
LABEL org.opencontainers.image.title="Sluiceway" \
    org.opencontainers.image.description="An Apache Airflow DAG bundle that refreshes a PostgreSQL/PostGIS warehouse after every deploy" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.revision="${BUILD_ID}"
RUN test -n "${BUILD_ID}" \
    && printf '{"build_id": "%s"}\n' "${BUILD_ID}" > /opt/airflow/include/sluiceway/version.json \
    && install --directory --owner=50000 --group=0 --mode=0770 /opt/airflow/reports

USER 50000
