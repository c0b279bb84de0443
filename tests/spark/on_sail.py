"""Run SQL on a Spark Connect server, in Spark's own environment: `python on_sail.py ADDRESS`, with JSON on standard input and output.

Told are `settings`, `tables` (the folder of each) and `queries`, by model. The answer says of each query why it failed, or the number of
rows in which it differs from its table; 0 if there are none.
"""

import json
import sys
from collections import Counter

from pyspark.sql import SparkSession

told = json.load(sys.stdin)
spark = SparkSession.builder.remote(sys.argv[1]).getOrCreate()
for name, value in told["settings"].items():
    try:
        spark.conf.set(name, value)
    except Exception as error:
        print(f"{name}: {error}", file=sys.stderr)
for table, folder in told["tables"].items():
    spark.sql(f"create schema if not exists {table.split('.')[0]}")
    spark.sql(f"create table {table} using parquet location '{folder}'")
answers = {}
for name, (table, query) in told["queries"].items():
    try:
        made, had = (
            Counter(repr(row) for row in spark.sql(one).collect()) for one in (query, f"select * from {table}")
        )
        answers[name] = (made - had).total() + (had - made).total()
    except Exception as error:
        answers[name] = " ".join(str(error).split())[:300] or type(error).__name__
print(json.dumps(answers))
