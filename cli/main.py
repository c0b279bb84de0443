"""The command line: its commands, and how an error is said."""

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

# What leaves its work done so far, where it is stopped.
_GOES_ON = ("ingest", "sweep", "run", "build", "heal", "repair", "demo", "up")
# What DuckDB makes of Ctrl-C while it runs a query.
_INTERRUPTED = "Query interrupted"
# As a shell has it: 128 and the number of the signal.
_BY_INTERRUPT, _BY_PIPE = 130, 141


class Commands(click.Group):
    """Turn errors into one clear line, Ctrl-C into a clean stop, and a reader who has enough into a quiet one."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()  # while a closed pipe can still be met quietly
        except KeyboardInterrupt:
            _stop(ctx)
        except BrokenPipeError:
            # what is left to be printed goes nowhere, instead of to a message about it
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
    """Say an error in one line; nothing of an exception that nobody foresaw."""
    if found := faults.fault_of(error):
        return str(found)
    if isinstance(error, duckdb.Error):
        return (
            f"DuckDB says: {' '.join(str(error).split())}. Next: the same after `clearwell --debug`, which shows where"
        )
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
