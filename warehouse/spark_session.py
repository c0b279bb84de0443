"""Run dbt on Spark, for all of a build's turns in one process. It runs in Spark's own environment and imports nothing of Clearwell.

`python spark_session.py ARGUMENT...`: the arguments are dbt's for each turn. Each line of standard input is a turn: JSON with
`models` to make, `given` (the SQL of each model that is made already) and `vars`. Each is answered by a line of JSON with `failed`.
When standard input ends, the process ends at once, and Spark with it.
"""

import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from queue import Queue
from typing import Any

_LOOK_SECONDS = 0.5


def main(arguments: Sequence[str]) -> None:
    """Answer turns until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what dbt and Java print is for the log
    turns: Queue[str] = Queue()
    is_over = threading.Event()
    threading.Thread(target=_listen, args=[turns], daemon=True).start()
    threading.Thread(target=_watch, args=[is_over], daemon=True).start()
    manifest = None
    while line := turns.get():
        turn = json.loads(line)
        if not manifest:
            manifest = _invoke(None, ["parse", *arguments, "--vars", json.dumps(turn["vars"])]).result
            _forget_tables(manifest)
        print(json.dumps(_run(manifest, turn, arguments)), file=answers, flush=True)
    is_over.set()
    with suppress(Exception):  # it may have been killed
        _forget_tables(manifest)
        _stop_spark()
    os._exit(0)


def _listen(turns: "Queue[str]") -> None:
    """Pass the turns on. Whoever asks may be killed: then nothing waits for the turn that runs."""
    for line in sys.stdin:
        if not line.strip():
            turns.put("")
            return
        turns.put(line)
    os._exit(1)


def _watch(is_over: threading.Event) -> None:
    """End with Spark's Java process: a call to it that was not answered would wait for ever."""
    while not is_over.wait(_LOOK_SECONDS):
        if not _is_alive():
            os._exit(1)


def _run(manifest: Any, turn: Mapping[str, Any], arguments: Sequence[str]) -> dict[str, Any]:
    for node in manifest.nodes.values():
        if node.name in turn["given"] and node.resource_type == "model":
            node.raw_code, node.config.materialized, node.language = turn["given"][node.name], "view", "sql"
    chosen = [*turn["given"], *turn["models"]]
    told = [
        "--vars",
        json.dumps(turn["vars"]),
        "--exclude-resource-type",
        "test",
        "--exclude-resource-type",
        "unit_test",
    ]
    outcome = _invoke(manifest, ["build", *arguments, *told, "--select", *chosen], must=False)
    found = list(failures(getattr(outcome.result, "results", []) or []))
    if outcome.exception and not found:
        found = [f"a model: {_first_line(str(outcome.exception))}"]
    return {"failed": found, "is_alive": _is_alive()}


def _forget_tables(manifest: Any) -> None:
    """Drop the names of all tables at a server, which keeps those of earlier builds. The files of the tables stay."""
    if "SPARK_REMOTE" in os.environ:
        from pyspark.sql import SparkSession

        session = SparkSession.builder.getOrCreate()
        made = {node.schema for node in manifest.nodes.values() if node.resource_type == "model"}
        for schema in sorted({*made, "changed"}):
            session.sql(f"drop schema if exists {schema} cascade")


def _invoke(manifest: Any, arguments: Sequence[str], *, must: bool = True) -> Any:
    from dbt.cli.main import dbtRunner

    outcome = dbtRunner(manifest=manifest).invoke([*arguments])
    if must and outcome.exception:
        raise outcome.exception
    return outcome


def failures(results: Sequence[Any]) -> Iterator[str]:
    """Yield the name and the message of each failed model of dbt's results."""
    for one in results:
        if str(one.status) not in ("success", "skipped"):
            yield f"{one.node.name}: {_first_line(str(one.message))}"


def _first_line(message: str) -> str:
    """Return Spark's own message: one line among those of dbt, which a plan of the query or Java's stack may follow."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    own = [line for begin in ("[", "Caused by") for line in lines if line.startswith(begin)]
    return (own or lines[-1:] or ["no message"])[0]


def _is_alive() -> bool:
    """Say whether the Java process that this process started, if any, still runs."""
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    java = getattr(gateway, "proc", None)
    return java is None or java.poll() is None


def _stop_spark() -> None:
    """Stop Spark, and wait until its Java process is gone."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    session = SparkSession.getActiveSession()
    if session:
        session.stop()
    gateway = SparkContext._gateway
    if gateway:
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait()


if __name__ == "__main__":
    main(sys.argv[1:])
