"""Make Clearwell's gold tables by a script written by hand: the yardstick of `bench/run.py`.

python -m bench.baseline LANDING DATABASE_URL RATES FROM TO OUT.duckdb

It does the same work in one pass: the landing folder, the shop's four tables and a file of exchange rates become raw
Parquet, then silver (typed rows without duplicates), then gold. It keeps no ledger, runs no tests, and knows no earlier run.
It is a second implementation of the rules: of the project, it reads the seeds only.

The shop's primary keys are relied on. RATES is a CSV, or a zip of one, with `rate_date,currency,rate,updated_at` or a
column per currency.
"""

import shutil
from resource import RUSAGE_SELF, getrusage
from time import monotonic

import duckdb

from bench.by_hand import clicks, gold_of_clicks, gold_of_orders, landing, orders
from bench.by_hand.job import THREADS, Job, read_job
from bench.by_hand.values import MACROS


class Stages:
    """Print what each stage took: seconds, CPU seconds, and the peak memory so far in MB."""

    def __init__(self) -> None:
        self.began, self.cpu = monotonic(), 0.0

    def end(self, stage: str) -> None:
        """Print a stage that ends now, and begin the next."""
        now, usage = monotonic(), getrusage(RUSAGE_SELF)
        cpu = usage.ru_utime + usage.ru_stime
        print(f"{stage:<28} {now - self.began:>7.2f} s {cpu - self.cpu:>7.2f} CPU s {usage.ru_maxrss // 1024:>6} MB")
        self.began, self.cpu = now, cpu


def main() -> None:
    """Read the arguments, and make the tables."""
    make(read_job(__doc__))


def make(job: Job) -> None:
    """Make silver and gold in `job.out`, and raw Parquet beside it, anew. A table of the shop with too many refused rows raises SystemExit."""
    shutil.rmtree(job.work, ignore_errors=True)
    job.out.unlink(missing_ok=True)
    job.lines.mkdir(parents=True)
    stages = Stages()
    lines = landing.land(job)
    stages.end(f"landing, {sum(lines.values()):,} lines")
    with duckdb.connect() as db:
        db.execute(f"set memory_limit = '{job.memory}'; set threads = {THREADS}; set timezone = 'UTC'")
        db.execute(f"set preserve_insertion_order = false; set temp_directory = '{job.work / 'spilled'}'")
        # attached: a file's own name may be a schema's too
        db.execute(f"attach '{job.out}' as made; use made; create schema silver; create schema gold; {MACROS}")
        clicks.parse_clicks(db, job)
        stages.end("clicks parsed")
        clicks.keep_clicks(db, job, lines)
        stages.end("clicks without duplicates")
        clicks.order_clicks(db)
        clicks.make_sessions(db)
        clicks.link_visitors(db)
        stages.end("sessions, visitors")
        gold_of_clicks.make_gold_of_clicks(db)
        stages.end("gold of clicks")
        orders.type_rows(db, job)
        orders.make_orders(db)
        stages.end("orders")
        orders.price_lines(db)
        stages.end("lines, dollars, tax")
        orders.sum_orders(db)
        orders.look_back(db)
        gold_of_orders.make_order_risk(db)
        stages.end("risk")
        gold_of_orders.make_gold_of_orders(db)
        stages.end("gold of orders")
    stages.end("closing")


if __name__ == "__main__":
    main()
