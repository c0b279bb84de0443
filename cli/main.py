"""The command line: its commands, and how errors are printed."""

import os
import sys
from typing import Any, NoReturn

import click
import duckdb

from cli import (
    batches,
    builds,
    contracts,
    dead_letters,
    demo,
    gold,
    ledger,
    maintain,
    query,
    repair,
    shop,
    sources,
    status,
)
from ingestion import faults
from operations.output import say

# The commands that keep the work done so far when they are stopped.
_GOES_ON = ("ingest", "sweep", "run", "build", "heal", "repair", "demo", "up")
# DuckDB's error for Ctrl-C while it runs a query.
_INTERRUPTED = "Query interrupted"
# Exit statuses as a shell has them: 128 plus the number of the signal.
_BY_INTERRUPT, _BY_PIPE = 130, 141


class Commands(click.Group):
    """Turn errors into one clear line. Stop cleanly on Ctrl-C, and silently if the reader of a pipe closes it."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()  # while a closed pipe can still be met quietly
        except KeyboardInterrupt:
            _stop(ctx)
        except BrokenPipeError:
            # discard the remaining output: writing it would print another error
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(_BY_PIPE)
        except Exception as error:
            if isinstance(error, RuntimeError) and str(error) == _INTERRUPTED:
                _stop(ctx)
            told = _told(error)
            if ctx.params.get("debug") or not told:
                raise
            say(f"error: {told}")
            sys.exit(1)


def _stop(ctx: click.Context) -> NoReturn:
    say("stopped; the same command goes on from here" if ctx.invoked_subcommand in _GOES_ON else "stopped")
    sys.exit(_BY_INTERRUPT)


def _told(error: Exception) -> str:
    """Return an error as one line; empty for an unexpected exception."""
    if found := faults.fault_of(error):
        return str(found)
    if isinstance(error, duckdb.Error):
        return f"DuckDB failed: {' '.join(str(error).split())}. Next: run it again with `clearwell --debug` for the traceback"
    return ""


COMMANDS = (
    *(sources.ingest, sources.sweep, sources.run, sources.heal_windows),
    *(builds.build, builds.builds, batches.batches, dead_letters.dead_letters, contracts.contract_group),
    *(
        status.show_status,
        repair.repair_home,
        maintain.maintain_home,
        ledger.show_ledger,
        ledger.show_hash,
        query.sql,
        query.show_trace,
    ),
    *(gold.describe, gold.draw),
    *(shop.shop, demo.demo, demo.up, demo.down, demo.airflow),
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="clearwell", message="%(prog)s %(version)s")
def main(debug: bool) -> None:
    """Take a shop's orders and clicks to tables that analysts can trust.

    Everything is kept under $CLEARWELL_HOME (default ./data). The shop is $SHOP_DATABASE_URL, or the demo's own.
    Start with `clearwell demo`.
    """


for command in COMMANDS:
    main.add_command(command)
