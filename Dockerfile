FROM python:3.11-slim
RUN apt-get update && apt-get install --yes --no-install-recommends curl && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 50000 --create-home airflow \
    && mkdir -p /opt/airflow/logs /data /run/clearwell && chown -R airflow /opt/airflow /data /run/clearwell
WORKDIR /opt/clearwell
COPY requirements.txt .
RUN pip install --no-cache-dir --no-deps --require-hashes --requirement requirements.txt
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable . && chown -R airflow /opt/clearwell
USER airflow
