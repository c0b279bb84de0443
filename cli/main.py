"""The command line: its commands, and how errors are printed."""

import atexit
import gc
import os
import sys
import traceback
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, NoReturn

import click

from cli import interrupts
from ingestion import log

# Python looks for garbage once more when a process ends: in all that dbt has made, that takes a second for nothing.
atexit.register(gc.freeze)

# The commands that keep the work done so far when they are stopped.
_GOES_ON = ("ingest", "sweep", "run", "build", "heal", "repair", "forget", "demo", "up")
_DEBUG = "Next: run it again with `clearwell --debug`"
# DuckDB's error for Ctrl-C while it runs a query.
_INTERRUPTED = "Query interrupted"
# Exit statuses as a shell has them: 128 plus the number of the signal.
_BY_INTERRUPT, _BY_PIPE = 130, 141
# Each command by name: its module and function, and a line about it. What a command needs is imported only to run it:
# all of it takes a second.
COMMANDS = {
    "airflow": ("demo:airflow", "Run Airflow's own command on what `up` started."),
    "batches": ("batches:batches", "List, show, retract or restore batches."),
    "build": ("builds:build", "Build what is new, or rebuild dates; audit; publish."),
    "builds": ("builds:builds", "List, restore or drop builds; accept their findings."),
    "contracts": ("contracts:contract_group", "Check, release or try the contracts of datasets."),
    "control-room": ("control_room:write_control_room", "Write a page that shows how everything is."),
    "datasets": ("datasets:dataset_group", "Propose a new dataset, check one, list all."),
    "dead-letters": ("dead_letters:dead_letters", "List, correct or discard refused records."),
    "demo": ("demo:demo", "Simulate a shop, run the pipeline on it, show the result."),
    "describe": ("gold:describe", "Describe the published tables, or one of them."),
    "docs": ("docs:write_docs", "Write a page that documents every model."),
    "down": ("demo:down", "Stop what `up` started. All data stays."),
    "forget": ("forget:forget_person", "Forget a person, everywhere in the home."),
    "hash": ("ledger:show_hash", "Show the content hash of each silver and gold table."),
    "heal": ("sources:heal_windows", "Ingest the windows that are missing, then build."),
    "ingest": ("sources:ingest", "Land one window of a source in bronze."),
    "lake": ("lake:lake", "Keep the state in a DuckLake that several machines share."),
    "ledger": ("ledger:show_ledger", "Show what became of every record, and of the money."),
    "maintain": ("maintain:maintain_home", "Remove old logs and leftovers; put small files together."),
    "metrics": ("metrics:show_metrics", "Print or serve numbers for Prometheus."),
    "repair": ("repair:repair_home", "Restore damaged files from intact ones, then build."),
    "run": ("sources:run", "Ingest every source, then build."),
    "shop": ("shop:shop", "Start, stop or simulate the demo's shop."),
    "show": ("gold:draw", "Draw the dashboard query of a gold table."),
    "sources": ("sources:source_group", "Check that the sources can land."),
    "sql": ("query:sql", "Run a query over the state, read-only."),
    "status": ("status:show_status", "Say how far the data is complete, and what is wrong."),
    "sweep": ("sources:sweep", "Land days again, count sources, find deletions."),
    "trace": ("query:show_trace", "Tell where a record came from and what became of it."),
    "up": ("demo:up", "Do the demo, and leave Airflow and the shop running."),
    "watch": ("watch:watch_published", "Look at what is published, and tell people what is wrong."),
}


class Commands(click.Group):
    """Import a command when it is used. Turn errors into one clear line.

    Stop cleanly on Ctrl-C, and silently if the reader of a pipe closes it.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, function = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"cli.{module}"), function)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            try:
                with interrupts.after_imports():
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
            if isinstance(error, click.ClickException | click.exceptions.Exit | click.Abort):
                raise  # click says them
            told = _told(error)
            if not told and log.is_structured():
                log.unexpected()
                sys.exit(1)
            if ctx.params.get("debug"):
                raise
            if not told:
                told = _unexpected(error)
            _say(f"error: {told}")
            sys.exit(1)


def _now() -> datetime:
    return datetime.now(UTC)


def _stop(ctx: click.Context) -> NoReturn:
    _say("stopped; the same command goes on from here" if ctx.invoked_subcommand in _GOES_ON else "stopped")
    sys.exit(_BY_INTERRUPT)


def _told(error: Exception) -> str:
    """Return an error as one line; empty for an unexpected exception."""
    import duckdb

    from ingestion import faults

    if found := faults.fault_of(error):
        return str(found)
    if isinstance(error, duckdb.Error):
        from warehouse.error_texts import without_values

        return f"DuckDB failed: {' '.join(without_values(str(error)).split())}. {_DEBUG} for all of it"
    return ""


def _unexpected(error: Exception) -> str:
    """Show where an unexpected exception was raised, and return its kind as one line. Its words may hold personal data."""
    for line in traceback.format_tb(error.__traceback__):
        click.echo(line, nl=False, err=True)
    return f"an unexpected {type(error).__name__}. {_DEBUG} for its words, which may hold personal data"


def _say(message: str) -> None:
    from operations.output import say

    say(message)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(package_name="clearwell", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context, debug: bool) -> None:
    """Take a shop's orders and clicks to tables that analysts can trust.

    Everything is kept under $CLEARWELL_HOME (default ./data). The shop is $SHOP_DATABASE_URL, or the demo's own.
    Start with `clearwell demo`.
    """
    log.set_up()
    ctx.call_on_close(log.tear_down)
    command = ctx.invoked_subcommand or ""
    run_id = os.environ.get(log.RUN) or log.run_id(command, _now(), os.getpid())
    ctx.with_resource(log.bound(clock=_now, run_id=run_id, command=command))
