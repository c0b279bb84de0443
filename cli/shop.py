"""The simulated shop."""

import os

import click

from cli.context import now
from cli.options import named_date
from ingestion.connections import SHOP, needed
from ingestion.contract import read_contracts, source_names
from ingestion.home import Home
from ingestion.window import Window
from operations.output import say, tell


def wake_shop(home: Home) -> None:
    """Make a home's simulated shop available, if it has one and no other shop is set: start its Postgres, set its rates."""
    from demo import postgres, rates

    if rates.published(home).exists():
        os.environ.setdefault("EXCHANGE_RATES", str(rates.published(home)))
    contracts = read_contracts()
    on = source_names(contracts)
    reads_shop = SHOP in needed(one for one in contracts.values() if one.source in on)
    if not home.shop_url and reads_shop and postgres.is_asleep(home):
        say("starting the shop's Postgres, which was stopped. It keeps running; clearwell shop stop stops it")
        postgres.start(home)


@click.group()
def shop() -> None:
    """Start, stop or simulate the demo's shop."""


@shop.command("start")
def start_shop() -> None:
    """Start the shop's Postgres, with its tables, and print its address."""
    from demo import postgres

    tell(postgres.start(Home.from_environment()))


@shop.command("stop")
def stop_shop() -> None:
    """Stop the shop's Postgres. Its data stays."""
    from demo import postgres

    postgres.stop(Home.from_environment())


@shop.command("simulate")
@click.option("--from", "start", required=True, metavar="D", callback=named_date, help="First date.")
@click.option("--to", "end", required=True, metavar="D", callback=named_date, help="End, not included.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same shop.")
@click.option("--orders-per-day", default=400, show_default=True)
@click.option("--events-per-day", default=20_000, show_default=True)
def simulate_shop(start: str, end: str, seed: int, orders_per_day: int, events_per_day: int) -> None:
    """Simulate days: orders in the shop's Postgres, clicks in the landing folder, and the truth to compare with."""
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
    """Let the shop produce orders and clicks as time passes, until interrupted."""
    from time import sleep

    from demo import live

    live.run(Home.from_environment(), now, sleep, say)
