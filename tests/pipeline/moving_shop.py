"""A shop that keeps changing: orders change date, lines come, go and change, files grow, move and are archived."""

import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq

from ingestion import bronze, sources
from ingestion.home import Home
from ingestion.land import Landing
from ingestion.window import Window

FIRST = datetime(2026, 11, 1, tzinfo=UTC)
DAYS = 3


@dataclass
class Mover:
    """Change a shop and a landing folder at random; each change moves the time on by up to 90 minutes."""

    pick: random.Random
    shop: psycopg.Connection[Any]
    home: Home
    now: datetime = FIRST + timedelta(hours=20)
    number: int = 0
    done: list[str] = field(default_factory=list)

    def clear(self) -> None:
        self.shop.execute("truncate shop.orders, shop.order_items, shop.customers, shop.products")

    def move(self) -> None:
        """Move the time on and make one random change, sometimes none."""
        self.now += timedelta(minutes=self.pick.randint(1, 90))
        motion = self.pick.choice(MOTIONS)
        self.done.append(f"{self.now:%d %H:%M} {motion.__name__}")
        motion(self)

    def ingest_hour(self) -> list[Landing]:
        """Land the last hour of both sources, as the hourly DAGs do."""
        end = self.now.replace(minute=0, second=0, microsecond=0)
        window = Window(end - timedelta(hours=1), end)
        return [sources.ingest(source, window, self.home, self.now) for source in ("orders", "clickstream")]

    def sweep(self) -> list[Landing]:
        """Sweep the day before, as the nightly DAG does; on the first day, the day itself."""
        return [self.sweep_orders(), sources.sweep("clickstream", self._day(), self.home, self.now)]

    def sweep_orders(self) -> Landing:
        return sources.sweep("orders", self._day(), self.home, self.now)

    def sweep_day(self) -> datetime:
        """Return a time within the day that a sweep covers."""
        return self._day().start + timedelta(hours=5)

    def days(self) -> list[Window]:
        """List every day from the first to today."""
        count = (self.now - FIRST).days + 1
        starts = [FIRST + timedelta(days=number) for number in range(count)]
        return [Window(start, start + timedelta(days=1)) for start in starts]

    def _day(self) -> Window:
        end = max(self.now.replace(hour=0, minute=0, second=0, microsecond=0), FIRST + timedelta(days=1))
        return Window(end - timedelta(days=1), end)

    def orders(self) -> list[str]:
        return [row[0] for row in self.shop.execute("select order_id from shop.orders order by 1").fetchall()]

    def any_order(self) -> str:
        return self.pick.choice(self.orders() or ["none"])

    def files(self) -> list[Path]:
        return sorted(self.home.landing.glob("*/*/*.jsonl"))

    def any_time(self) -> datetime:
        """Return a random time within the last two days, to the second."""
        return max(FIRST, self.now - timedelta(seconds=self.pick.randint(0, 47 * 3600)))


def place(mover: Mover) -> None:
    mover.number += 1
    order, at = f"o{mover.number}", mover.any_time() if mover.pick.random() < 0.3 else mover.now
    mover.shop.execute(
        "insert into shop.orders values (%s, 'c1', 'paid', %s, 'card', 'DE', 10, %s, %s)",
        [order, mover.pick.choice(["EUR", "USD"]), at, at],
    )
    for line in range(mover.pick.randint(0, 3)):
        _add_line(mover, order, line, at)


def add_line(mover: Mover) -> None:
    order = mover.any_order()
    _add_line(mover, order, mover.pick.randint(3, 9), mover.now)
    _touch(mover, order)


def change_line(mover: Mover) -> None:
    order = mover.any_order()
    mover.shop.execute(
        # never 0, which is refused
        "update shop.order_items set quantity = abs(quantity) + 1, updated_at = %s where order_id = %s",
        [mover.now, order],
    )
    _touch(mover, order)


def drop_line(mover: Mover) -> None:
    order = mover.any_order()
    mover.shop.execute(
        "delete from shop.order_items where (order_id, line_number) in "
        "(select order_id, line_number from shop.order_items where order_id = %s order by 2 limit 1)",
        [order],
    )
    _touch(mover, order)


def drop_order(mover: Mover) -> None:
    order = mover.any_order()
    mover.shop.execute("delete from shop.order_items where order_id = %s", [order])
    mover.shop.execute("delete from shop.orders where order_id = %s", [order])


def change_date(mover: Mover) -> None:
    mover.shop.execute(
        "update shop.orders set ordered_at = %s, updated_at = %s where order_id = %s",
        [mover.any_time(), mover.now, mover.any_order()],
    )


def cancel(mover: Mover) -> None:
    mover.shop.execute(
        "update shop.orders set status = 'cancelled', updated_at = %s where order_id = %s",
        [mover.now, mover.any_order()],
    )


def deliver(mover: Mover) -> None:
    mover.number += 1
    _write(mover, _folder(mover, mover.any_time()) / f"part-{mover.number}.jsonl", "w")


def grow(mover: Mover) -> None:
    if mover.files():
        _write(mover, mover.pick.choice(mover.files()), "a")


def move_file(mover: Mover) -> None:
    if mover.files():
        mover.number += 1
        mover.pick.choice(mover.files()).rename(_folder(mover, mover.any_time()) / f"moved-{mover.number}.jsonl")


def archive(mover: Mover) -> None:
    if mover.files():
        mover.pick.choice(mover.files()).unlink()


def rest(mover: Mover) -> None:
    mover.now += timedelta(hours=mover.pick.randint(1, 8))


MOTIONS: list[Callable[[Mover], None]] = [
    *(place, place, add_line, change_line, drop_line, drop_order, change_date, cancel),
    *(deliver, deliver, grow, move_file, archive, rest),
]


def counted(home: Home, landings: list[Landing]) -> list[dict[str, Any]]:
    """Return the counts that sweeps took: per date, what the source holds and what landed."""
    return [
        row
        for landing in landings
        for manifest in landing.manifests
        if manifest.dataset == "source_counts"
        for path in bronze.parquet_files(home, manifest)
        for row in pq.read_table(path).to_pylist()
    ]


def differing(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if (row["records"], row["amount"]) != (row["landed_records"], row["landed_amount"])]


def _add_line(mover: Mover, order: str, line: int, at: datetime) -> None:
    price = f"{mover.pick.randint(-500, 5000) / 100:.4f}"
    mover.shop.execute(
        "insert into shop.order_items values (%s, %s, 'p1', %s, %s, 0, %s) on conflict do nothing",
        [order, line, mover.pick.choice([-1, 1, 2]), price, at],
    )


def _touch(mover: Mover, order: str) -> None:
    mover.shop.execute("update shop.orders set updated_at = %s where order_id = %s", [mover.now, order])


def _folder(mover: Mover, at: datetime) -> Path:
    folder = mover.home.landing / f"{at:%Y-%m-%d}" / f"{at:%H}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(mover: Mover, path: Path, how: str) -> None:
    hour = datetime.strptime(f"{path.parent.parent.name} {path.parent.name}", "%Y-%m-%d %H").replace(tzinfo=UTC)
    with path.open(how) as file:
        for _ in range(mover.pick.randint(1, 4)):
            mover.number += 1
            event = {"event_id": f"e{mover.number}", "event_type": "click", "visitor_id": "v"}
            file.write(json.dumps({**event, "event_time": hour.isoformat()}) + "\n")
    at = (mover.now - timedelta(minutes=1)).timestamp()
    os.utime(path, (at, at))
