"""Make silver and some of the gold tables with dlt and dbt.

python -m bench.peers.with_dlt_and_dbt LANDING DATABASE_URL RATES FROM TO OUT.duckdb

dlt lands each click as a row, which it types, checks against its schema and gives an id: its way with JSON lines.
`bench.peers.with_dlt_and_dbt.lines` lands lines instead.
"""

from bench.by_hand.job import read_job
from bench.peers.with_dlt_and_dbt.steps import make

if __name__ == "__main__":
    make(read_job(__doc__), as_lines=False)
