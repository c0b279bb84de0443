"""Make silver and some of the gold tables with dlt and dbt, as fast as dlt can.

python -m bench.peers.with_dlt_and_dbt.lines LANDING DATABASE_URL RATES FROM TO OUT.duckdb

dlt lands the lines of clicks as Arrow tables, which it does not look into, and dbt parses them in DuckDB.
"""

from bench.by_hand.job import read_job
from bench.peers.with_dlt_and_dbt.steps import make

if __name__ == "__main__":
    make(read_job(__doc__), as_lines=True)
