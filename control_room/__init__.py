"""The control room as a page of Airflow's UI."""
