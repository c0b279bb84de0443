"""Answer SQL with Spark, in its own environment: each line of standard input is a query as JSON, and so is each answer.

The argument is Spark's settings as JSON.
"""

import json
import os
import sys

from pyspark.sql import SparkSession

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
session = SparkSession.builder.master("local[1]")
for name, value in json.loads(sys.argv[1]).items():
    session = session.config(name, value)
spark = session.getOrCreate()
for line in sys.stdin:
    try:
        found = spark.sql(json.loads(line))
        answer = {"columns": found.columns, "rows": [list(row) for row in found.collect()]}
    except Exception as error:
        answer = {"error": str(error)[:2000]}
    print(json.dumps(answer, default=str), file=answers, flush=True)
spark.stop()
