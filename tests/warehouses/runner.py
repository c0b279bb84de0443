"""Run SQL on one engine, in its own environment: `python runner.py ENGINE`, with JSON on standard input and output."""

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack

told = json.load(sys.stdin)
at_the_end = ExitStack()


def snowflake() -> Callable[[str], object]:
    import fakesnow
    import snowflake.connector

    at_the_end.enter_context(fakesnow.patch())
    connection = snowflake.connector.connect(database="clearwell", schema="main")
    return lambda sql: connection.cursor().execute(sql)


def clickhouse() -> Callable[[str], object]:
    from chdb.session import Session

    return Session().query


execute = {"snowflake": snowflake, "clickhouse": clickhouse}[sys.argv[1]]()
for statement in told["setup"]:
    try:
        execute(statement)
    except Exception as error:
        print(f"{statement[:80]}: {error}", file=sys.stderr)
answers = {}
for name, query in told["queries"].items():
    try:
        execute(query)
        answers[name] = ""
    except Exception as error:
        answers[name] = str(error) or type(error).__name__
print(json.dumps(answers))
