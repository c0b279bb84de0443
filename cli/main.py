"""The command line: its commands, and how an error is said."""

import sys
from typing import Any

import click
import duckdb

from cli import batches, builds, contracts, dead_letters, demo, gold, ledger, query, repair, shop, sources, status
from ingestion import faults
from operations.output import say


class Commands(click.Group):
    """Turn errors into one clear line, and Ctrl-C into a clean stop."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            say("stopped; the same command goes on from here")
            sys.exit(130)
        except BrokenPipeError:  # whoever reads what is printed has enough: click ends quietly
            raise
        except Exception as error:
            told = _told(error)
            if ctx.params.get("debug") or not told:
                raise
            say(f"error: {told}")
            sys.exit(1)


def _told(error: Exception) -> str:
    """Say an error in one line; nothing of an exception that nobody foresaw."""
    if found := faults.fault_of(error):
        return str(found)
    if isinstance(error, duckdb.Error):
        return f"DuckDB says: {' '.join(str(error).split())}. Next: the same with `clearwell --debug …`"
    return ""


COMMANDS = (
    *(sources.ingest, sources.sweep, sources.run, sources.heal_windows),
    *(builds.build, builds.builds, batches.batches, dead_letters.dead_letters, contracts.contract_group),
    *(status.show_status, repair.repair_home, ledger.show_ledger, ledger.show_hash, query.sql, query.show_trace),
    *(gold.describe, gold.draw),
    *(shop.shop, demo.demo, demo.up, demo.down, demo.airflow),
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Take a shop's orders and clicks to tables that analysts can trust.

    Everything is kept under $CLEARWELL_HOME (default ./data). The shop is $SHOP_DATABASE_URL, or the demo's own.
    Start with `clearwell demo`.
    """


for command in COMMANDS:
    main.add_command(command)
