"""The command line. It reads the clock and the environment, and passes both on."""

import getpass
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click
import duckdb

from ingestion import faults, releases, sources
from ingestion.errors import ClearwellError
from ingestion.home import Home
from ingestion.window import Window, parse_time
from operations import contracts, damage, decide, hashes, heal, ledger, listings, query, repair, status, suggest, trace
from operations.output import say, show, tell
from warehouse.build import Outcome, Request

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
from_option = click.option(
    "--from",
    "start",
    required=True,
    metavar="T",
    help="Start: a date or an ISO timestamp, UTC unless it says otherwise.",
)
to_option = click.option("--to", "end", required=True, metavar="T", help="End, not included.")


reason_option = click.option("--reason", required=True, metavar="TEXT", help="Why; kept with the decision.")
undo_reason_option = click.option(
    "--reason", default="the decision before was wrong", show_default=True, metavar="TEXT", help="Why; kept with it."
)
_DRY_RUN_ROWS = 40
_NEXT = "Next: clearwell build"


def _by(reason: str) -> decide.By:
    """Say who decides: whoever is logged in."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "unknown"
    return decide.By(name, now(), reason)


def now() -> datetime:
    """Read the clock: here, and in dags/, and nowhere else."""
    return datetime.now(UTC)


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


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Take a shop's orders and clicks to tables that analysts can trust.

    Everything is kept under $CLEARWELL_HOME (default ./data). The shop is $SHOP_DATABASE_URL, or the demo's own.
    Start with `clearwell demo`.
    """


# --- the pipeline ---


@main.command()
@click.argument("source")
@from_option
@to_option
def ingest(source: str, start: str, end: str) -> None:
    """Land one window of SOURCE in bronze: orders, clickstream, or one that a contract locates. Again brings only what is new."""
    landing = sources.ingest(source, Window.parse(start, end), Home.from_environment(), now(), say)
    tell(
        f"{landing.records} records in {len(landing.new)} new batches; {len(landing.manifests)} batches hold the window"
    )


@main.command()
@from_option
@to_option
def sweep(start: str, end: str) -> None:
    """Do by hand what the nightly sweep does: land each day again, count its source, and find what vanished there.

    The days before that have landed are looked at too, as far back as each contract's lateness. A source that fails does
    not stop the others; then the exit status is 1.
    """
    home, window, failed = Home.from_environment(), Window.parse(start, end), []
    for source in sources.SOURCES:
        try:
            landing = sources.sweep(source, window, home, now(), say)
        except ClearwellError as error:
            say(f"error: {error}")
            failed.append(source)
        else:
            tell(f"{source}: {landing.records} records in {len(landing.new)} new batches")
    if failed:
        say(f"not swept: {', '.join(failed)}. Next: fix the errors above and run the same command again")
        sys.exit(1)
    tell(f"{_NEXT}; then clearwell status lists what differs from the sources")


@main.command()
@click.option("--from", "start", metavar="D", help="First date to build again from bronze.")
@click.option("--to", "end", metavar="D", help="End of the range, not included.")
@click.option("--full", is_flag=True, help="Build everything again from bronze.")
@click.option("--reason", default="", help="Why; kept with the build, and shown by `builds list`.")
@click.option("--dry-run", is_flag=True, help="Stop before anything is changed, and show what would be.")
@json_option
def build(start: str | None, end: str | None, full: bool, reason: str, dry_run: bool, as_json: bool) -> None:
    """Build what is new, audit it, and publish it; or a range, or everything, again from bronze."""
    from warehouse.build import build as run_build

    request = Request(_date(start), _date(end), full, reason, dry_run)
    outcome = run_build(Home.from_environment(), request, now(), say)
    if dry_run and outcome.plan:
        _show_dry_run(outcome, as_json=as_json)
    elif outcome.plan:
        done = "published" if outcome.is_published else "applied, and not published: readers are given a pinned state"
        tell(f"build {outcome.plan.build_id}: {done}")


def _show_dry_run(outcome: Outcome, *, as_json: bool) -> None:
    rows = [{"table": one.table, **row} for one in outcome.differences for row in one.rows]
    if as_json:
        show(rows, as_json=True)
        return
    plan = outcome.plan
    if plan:
        tell(f"batches that would enter: {', '.join(plan.entering) or 'none'}")
        tell(f"batches that would leave: {', '.join(plan.leaving) or 'none'}")
    show(outcome.dates, as_json=False, title="dates that would differ", nothing="no date would differ")
    for one in outcome.differences:
        title = f"{one.table}: {one.gone} rows would go, {one.new} come"
        show(one.rows[:_DRY_RUN_ROWS], as_json=False, title=title)
    if not outcome.differences:
        tell("gold would not change")
    tell("dry run: nothing was changed")


@main.command()
@from_option
@to_option
@click.pass_context
def run(ctx: click.Context, start: str, end: str) -> None:
    """Ingest every source, then build. A source that fails does not stop the others; then the exit status is 1."""
    failed = [source for source in sources.SOURCES if not _landed(ctx, source, start, end)]
    ctx.invoke(build)
    if failed:
        say(f"not landed: {', '.join(failed)}. Next: fix the errors above and run it again")
        sys.exit(1)


def _landed(ctx: click.Context, source: str, start: str, end: str) -> bool:
    try:
        ctx.invoke(ingest, source=source, start=start, end=end)
    except ClearwellError as error:
        say(f"error: {error}")
        return False
    return True


# --- what there is ---


@main.command("status")
@json_option
def show_status(as_json: bool) -> None:
    """Say how far the data is complete, what the last build found, and whether all is well (exit status 0)."""
    found = status.read(Home.from_environment(), now())
    if as_json:
        show([found], as_json=True)
    elif {"state", "published"} & {one["kind"] for one in found["broken"]}:
        _show_broken(found["broken"])
        click.echo("not healthy; what is damaged hides the rest")
    else:
        _show_broken(found["broken"])
        show(
            found["datasets"],
            as_json=False,
            title="complete until",
            nothing="nothing is published yet. Next: clearwell build",
        )
        show(found["builds"], as_json=False, title="last build", nothing="no build yet")
        show(found["findings"], as_json=False, title="open findings", nothing="no open findings")
        if found["held"]:
            show(found["held"], as_json=False, title="held: too many records are refused, or a check fails")
            say(
                "Next: fix the source and ingest the window again, or fix the contract and clearwell build --from DATE --to DATE "
                "--reason TEXT; or clearwell builds accept FINDING --reason TEXT; or clearwell batches retract BATCH --reason TEXT"
            )
        if found["differences"]:
            show(found["differences"], as_json=False, title="not reconciled: the source counts other than what landed")
            say(
                "Next: clearwell sweep --from DATE --to DATE and clearwell build count again; "
                "or clearwell builds accept FINDING --reason TEXT"
            )
        if found["stale"]:
            show(found["stale"], as_json=False, title="dates under an older contract or model version")
            say("Next: clearwell build --from DATE --to DATE --reason TEXT, or --full, makes them again")
        if found["pinned"]:
            pin = found["pinned"]
            say(f"readers are given build {pin['build_id']} since {pin['pinned_at']}: {pin['reason']}")
        tell(f"{found['batches_waiting']} batches wait for a build")
        if found["late"]:
            say(
                "Next: clearwell heal lands what is missing; clearwell heal --dry-run names the files that cannot be read"
            )
        tell("healthy" if found["healthy"] else f"not healthy; late: {', '.join(found['late']) or 'none'}")
    sys.exit(0 if found["healthy"] else 1)


def _show_broken(rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        show(rows, as_json=False, title="damaged")
        say(f"Next: {damage.NEXT}")


@main.command("repair")
@click.option("--dry-run", is_flag=True, help="Only list what is damaged, and what would be done.")
@json_option
@click.pass_context
def repair_home(ctx: click.Context, dry_run: bool, as_json: bool) -> None:
    """Look through all that Clearwell keeps, move what is damaged aside, make it again from what is whole, and build.

    Nothing is deleted: what is moved lies in `broken/` of the home, beside the reason. Exit status 1 if something is left.
    """
    home = Home.from_environment()
    say("reading all batches, the state and the published file")
    found = damage.search(home)
    rows = [
        {"kind": one.kind, "name": one.name, "what": one.what, "repair": repair.WAYS[one.kind], "path": str(one.path)}
        for one in found
    ]
    show(rows, as_json=as_json, title="damaged", nothing="nothing is damaged")
    if dry_run or not found:
        return
    left = repair.repair(home, found, now(), say)
    ctx.invoke(build)
    for line in left:
        say(f"not repaired: {line}")
    sys.exit(1 if left else 0)


@main.command("heal")
@click.option("--to", "end", metavar="T", help="Also what is missing after the latest window, up to here.")
@click.option("--dry-run", is_flag=True, help="Only list what would be ingested.")
@json_option
@click.pass_context
def heal_windows(ctx: click.Context, end: str | None, dry_run: bool, as_json: bool) -> None:
    """Ingest again the windows that are missing or short of files, then build."""
    home = Home.from_environment()
    found = heal.needed(home, parse_time(end) if end else None)
    rows = [{"source": one.source, "from": one.window.start, "to": one.window.end, "why": one.why} for one in found]
    show(rows, as_json=as_json, title="to be ingested", nothing="every window is there, and whole")
    if dry_run or not found:
        return
    failed = heal.heal(home, found, now(), say)
    ctx.invoke(build)
    for line in failed:
        say(f"not healed: {line}")
    sys.exit(1 if failed else 0)


@main.command("ledger")
@click.option("--dataset", help="One dataset only.")
@click.option("--recount", is_flag=True, help="Count every record again, in the tables and in bronze.")
@json_option
def show_ledger(dataset: str | None, recount: bool, as_json: bool) -> None:
    """Show the accounts: what became of every record. Exit status 1 if they do not balance."""
    home = Home.from_environment()
    if recount:
        say("counting every record again, in the tables and in bronze")
        differences, balanced = ledger.recount(home)
        if not as_json:
            show(differences, as_json=False, title="accounts that differ", nothing="recounted: every account balances")
        say("building everything again from bronze, aside, to compare each row")
        rows = ledger.recompute(home, now())
        balanced = balanced and not rows
        if as_json:
            show([*differences, *rows], as_json=True)
        else:
            show(rows, as_json=False, title="rows that differ", nothing="rebuilt: every row of every table is the same")
    else:
        rows, balanced = ledger.read(home, dataset)
        amounts, adds_up = ledger.money(home, dataset)
        balanced = balanced and adds_up
        if as_json:
            rows = [{**row, "money": [one for one in amounts if one["dataset"] == row["dataset"]]} for row in rows]
        show(rows, as_json=as_json, title="ledger", nothing="the ledger is empty. Next: clearwell build")
        if amounts and not as_json:
            show(
                amounts, as_json=False, title="money, by the currency each record names; lines have that of their order"
            )
    sys.exit(0 if balanced else 1)


@main.command("hash")
@click.option("--layer", type=click.Choice(hashes.LAYERS), help="One layer only.")
@json_option
def show_hash(layer: str | None, as_json: bool) -> None:
    """Show the content hash of each silver and gold table. The same records, however they came, give the same hash."""
    show(hashes.read(Home.from_environment(), layer), as_json=as_json)


@main.command()
@click.argument("question", metavar="QUERY")
@json_option
def sql(question: str, as_json: bool) -> None:
    """Run QUERY over the state, read-only."""
    names, rows = query.run(Home.from_environment(), question)
    show([dict(zip(names, row, strict=True)) for row in rows], as_json=as_json, nothing="no rows")


@main.command("trace")
@click.argument("name", required=False, metavar="[ID]")
@click.option("--gold", "table", metavar="TABLE", help="Go the other way: from rows of a gold table to their records.")
@click.option("--where", metavar="SQL", default="true", help="Which rows, as \"order_date = '2026-11-01'\".")
@json_option
def show_trace(name: str | None, table: str | None, where: str, as_json: bool) -> None:
    """Tell where a record came from and what became of it. ID: an order id, an event id, or batch:record_no."""
    if bool(name) == bool(table):
        raise click.UsageError("give an ID, or --gold TABLE")
    home = Home.from_environment()
    if name:
        told = trace.record(home, name)
        if as_json:
            show(told, as_json=True)
        for one in [] if as_json else told:
            fields = [{"field": field, "value": _in_a_line(value)} for field, value in one.items()]
            show(fields, as_json=False, title=f"{one['dataset']} {one['record']}")
        return
    behind = trace.gold(home, str(table), where)
    if as_json:
        show([asdict(behind)], as_json=True)
    else:
        show(behind.cells, as_json=False, title=f"gold.{table}", nothing="no such rows")
        show(behind.records, as_json=False, title="made of", nothing="no records")
        show(behind.differences, as_json=False, title="does not add up", nothing="the records add up to the rows")
    sys.exit(1 if behind.differences else 0)


def _in_a_line(value: Any) -> Any:
    return ", ".join(f"{field}: {one}" for field, one in value.items()) if isinstance(value, dict) else value


@main.group()
def batches() -> None:
    """What was landed."""


@batches.command("list")
@json_option
def list_batches(as_json: bool) -> None:
    """List the batches of bronze."""
    show(listings.batches(Home.from_environment()), as_json=as_json, nothing="no batches yet. Next: clearwell ingest")


@batches.command("show")
@click.argument("batch_id")
@json_option
def show_batch(batch_id: str, as_json: bool) -> None:
    """Show one batch: its manifest, and what became of its records."""
    show(listings.batch(Home.from_environment(), batch_id), as_json=as_json)


@batches.command("retract")
@click.argument("batch_id")
@reason_option
def retract_batch(batch_id: str, reason: str) -> None:
    """Take a batch out: its records are withdrawn, and those that lost to them come back."""
    decide.retract(Home.from_environment(), batch_id, _by(reason))
    tell(f"batch {batch_id} is retracted. {_NEXT}; undo: clearwell batches restore {batch_id}")


@batches.command("restore")
@click.argument("batch_id")
@undo_reason_option
def restore_batch(batch_id: str, reason: str) -> None:
    """Undo a retraction."""
    decide.restore(Home.from_environment(), batch_id, _by(reason))
    tell(f"batch {batch_id} counts again. {_NEXT}")


@main.group("dead-letters")
def dead_letters() -> None:
    """Records that were refused."""


@dead_letters.command("list")
@json_option
def list_dead_letters(as_json: bool) -> None:
    """Group them by reasons, contract version and source file."""
    show(listings.dead_letters(Home.from_environment()), as_json=as_json, nothing="no dead letters")


@dead_letters.command("show")
@click.option("--dataset", help="Of one dataset only.")
@click.option("--cause", "--reason", "cause", help="With this reason only, as `missing:visitor_id`.")
@click.option("--limit", default=20, show_default=True)
@json_option
def show_dead_letters(dataset: str | None, cause: str | None, limit: int, as_json: bool) -> None:
    """Show them raw. With --json, what `resubmit` takes back once `raw` is fixed."""
    show(
        listings.dead_letter_records(Home.from_environment(), dataset, cause, limit),
        as_json=as_json,
        nothing="no dead letters",
    )


@dead_letters.command("suggest")
@json_option
def suggest_rescue(as_json: bool) -> None:
    """Cluster them by cause, and say what would rescue each, and how much it would bring back. Nothing is changed."""
    show(suggest.suggestions(Home.from_environment()), as_json=as_json, nothing="no dead letters")


@dead_letters.command("resubmit")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--reason", default="", metavar="TEXT", help="Why; kept with the decision. The file's name if not given.")
def resubmit_dead_letters(file: Path, reason: str) -> None:
    """Land the corrected records of FILE: what `show --json` prints, with `raw` fixed. Undo: retract their batch."""
    manifests = decide.resubmit(Home.from_environment(), file, _by(reason or f"corrected in {file.name}"))
    for manifest in manifests[:-1]:
        tell(f"{manifest.dataset} batch {manifest.batch_id}: {manifest.records_written} corrected records")
    tell(_NEXT)


@dead_letters.command("discard")
@click.argument("records", nargs=-1, metavar="[RECORD]...")
@click.option("--dataset", help="Every one of a dataset, with --cause.")
@click.option("--cause", help="Every one with this reason, as `missing:visitor_id`.")
@reason_option
def discard_dead_letters(records: tuple[str, ...], dataset: str | None, cause: str | None, reason: str) -> None:
    """Withdraw dead letters: RECORDs, each named batch:record_no, or all with a cause."""
    home = Home.from_environment()
    if bool(records) == bool(cause):
        raise click.UsageError("name records, or give --cause")
    if cause:
        found = listings.dead_letter_records(home, dataset, cause, limit=1_000_000)
        records = tuple(row["record"] for row in found)
    count = decide.discard(home, records, _by(reason)) if records else 0
    tell(f"{count} dead letters are discarded. {_NEXT}; undo: clearwell dead-letters restore RECORD")


@dead_letters.command("restore")
@click.argument("records", nargs=-1, required=True, metavar="RECORD...")
@undo_reason_option
def restore_dead_letters(records: tuple[str, ...], reason: str) -> None:
    """Undo a discard."""
    count = decide.undiscard(Home.from_environment(), records, _by(reason))
    tell(f"{count} records are dead letters again. {_NEXT}")


@main.group()
def builds() -> None:
    """What was built."""


@builds.command("list")
@json_option
def list_builds(as_json: bool) -> None:
    """List the published builds, newest first."""
    show(listings.builds(Home.from_environment()), as_json=as_json, nothing="no builds yet. Next: clearwell build")


@builds.command("show")
@click.argument("build_id")
@json_option
def show_build(build_id: str, as_json: bool) -> None:
    """Show what the checks of one build found, refused builds included."""
    show(listings.build(Home.from_environment(), build_id), as_json=as_json)


@builds.command("accept")
@click.argument("finding", required=False, default="")
@click.option("--dataset", default="", help="Every open finding of a dataset.")
@click.option("--from", "start", metavar="D", help="Of these dates only: the first.")
@click.option("--to", "end", metavar="D", help="The end of the range, not included.")
@reason_option
def accept_finding(finding: str, dataset: str, start: str | None, end: str | None, reason: str) -> None:
    """Settle what `clearwell status` lists: FINDING, or all of a dataset and range.

    held:<batch> lets a held batch enter with the next build, refused records and all. difference:<dataset>:<date> takes
    the difference between a source's count and what landed as known; another difference is another finding.
    """
    if bool(finding) == bool(dataset or start or end):
        raise click.UsageError("name a FINDING, or give --dataset, or --from and --to")
    home = Home.from_environment()
    chosen = decide.select_findings(home, finding, dataset, _date(start), _date(end))
    for name in decide.accept(home, chosen, _by(reason)):
        tell(f"{name} is accepted")
    tell(_NEXT)


@builds.command("drop")
@click.argument("build_id")
def drop_build(build_id: str) -> None:
    """Forget a refused build: nothing came of it, and `status` asks for it no more."""
    decide.drop_build(Home.from_environment(), build_id)
    tell(f"build {build_id} is dropped")


@builds.command("restore")
@click.argument("build_id")
@reason_option
def restore_build(build_id: str, reason: str) -> None:
    """Publish an older state that was kept, and pin it: builds go on, and readers keep it until `unpin`."""
    from warehouse import publish

    publish.pin(Home.from_environment(), build_id, reason, _by(reason).name, now())
    tell(f"build {build_id} is published and pinned. Undo: clearwell builds unpin")


@builds.command("unpin")
def unpin_builds() -> None:
    """Publish the present state again."""
    from warehouse import publish

    publish.unpin(Home.from_environment())
    tell("the present state is published")


@main.group("contracts")
def contract_group() -> None:
    """What each dataset must look like, and how that may change."""


@contract_group.command("check")
@json_option
def check_contracts(as_json: bool) -> None:
    """Refuse a change that breaks the readers of any released version. Exit status 1 if one does."""
    found = [asdict(one) for one in releases.check()]
    show(found, as_json=as_json, title="contracts that break", nothing="every contract keeps its released versions")
    sys.exit(1 if found else 0)


@contract_group.command("release")
@click.argument("dataset")
def release_contract(dataset: str) -> None:
    """Keep the present contract of DATASET as its next version."""
    tell(f"{dataset}: version {releases.release(dataset)} is released. Next: commit it, and clearwell build")


@contract_group.command("try")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@from_option
@to_option
@json_option
def try_contract(file: Path, start: str, end: str, as_json: bool) -> None:
    """Say what the contract in FILE would have refused and rescued of past bronze. Nothing is changed."""
    window = Window.parse(start, end)
    days = (window.start.date(), window.end.date())
    rows = contracts.propose(Home.from_environment(), file, *days, now())
    show(rows, as_json=as_json, title="what it would change", nothing="it would refuse and rescue nothing")


# --- the demo ---


@main.group()
def shop() -> None:
    """The simulated shop."""


@shop.command("start")
def start_shop() -> None:
    """Start its Postgres, with its tables; print the address."""
    from demo import postgres

    tell(postgres.start(Home.from_environment()))


@shop.command("stop")
def stop_shop() -> None:
    """Stop its Postgres. Its data stays."""
    from demo import postgres

    postgres.stop(Home.from_environment())


@shop.command("simulate")
@click.option("--from", "start", required=True, metavar="D", help="First date.")
@click.option("--to", "end", required=True, metavar="D", help="End, not included.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same shop.")
@click.option("--orders-per-day", default=400, show_default=True)
@click.option("--events-per-day", default=20_000, show_default=True)
def simulate_shop(start: str, end: str, seed: int, orders_per_day: int, events_per_day: int) -> None:
    """Let days pass in the shop: orders in its Postgres, clicks in the landing folder, and the truth beside them."""
    from demo import postgres, simulate

    home = Home.from_environment()
    if not home.shop_url:
        postgres.start(home)
    window = Window.parse(start, end)
    simulate.simulate(
        home,
        window.start.date(),
        window.end.date(),
        seed=seed,
        orders_per_day=orders_per_day,
        events_per_day=events_per_day,
        report=say,
    )


@shop.command("live")
def live_shop() -> None:
    """Let the simulated shop produce as time passes, until interrupted."""
    from time import sleep

    from demo import live

    live.run(Home.from_environment(), now, sleep, say)


@main.command()
@click.option("--days", default=3, show_default=True, help="How many days before today to simulate.")
def demo(days: int) -> None:
    """Simulate a shop for some days, run the pipeline on them through Airflow, and print what came out."""
    from operations import demo as scenario

    scenario.run(Home.from_environment(), now(), days, say)


@main.command()
def up() -> None:
    """Do the demo and leave it running: Airflow's UI on loopback, the shop producing as time passes."""
    from operations import demo as scenario

    scenario.up(Home.from_environment(), now, say)


@main.command()
def down() -> None:
    """Stop what `clearwell up` started."""
    from operations import demo as scenario

    scenario.down(Home.from_environment(), say)


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def airflow(arguments: tuple[str, ...]) -> None:
    """Run Airflow's own command on the Airflow that `clearwell up` started, as `clearwell airflow dags list`."""
    from operations.airflow import command

    sys.exit(command(Home.from_environment(), arguments))


def _date(text: str | None) -> date | None:
    return parse_time(text).date() if text else None


if __name__ == "__main__":
    main()
