"""Propose a contract from a sample of a source: pure, from exact texts to columns, key, times and what the user has to decide."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain, combinations, pairwise

from ingestion.addresses import shown
from ingestion.errors import Permanent
from ingestion.fields import guess
from ingestion.names import fold, is_path, step, steps_of
from ingestion.sql import identifier
from ingestion.times import joined
from operations import guesses
from operations.dialects import OTHER_ENCODINGS
from operations.guesses import LIST, Type, is_currency, plain_names
from operations.numbers import listed
from operations.readings import as_read
from operations.samples import JSON_LINES, TABLE, Row, Sample, table_of

# Of a key or a time that its name and all other values speak for, this share of the sample may be missing or wrong.
_TOLERATED = 0.01
# Fewer rows prove nothing about a key whose name does not speak for it.
_PROVING_ROWS = 100
# So many values with several rows prove that another column counts their rows, from the same number in this share of them.
_COUNTED = 10
_BEGUN = 0.9
_SHOWN_CANDIDATES = 3
_SHOWN_TIMES = 6
# What the user says if no column identifies a row.
_BY_ROW = "row"
_BY_CHANCE = "identifies a record, or differs by chance in this sample: --key COL[,COL]"


@dataclass(frozen=True)
class Asked:
    """What the user says about a new dataset; the rest is guessed."""

    name: str
    place: str
    source: str = ""
    owner: str = ""
    key: tuple[str, ...] = ()
    event_time: str = ""
    version: str = ""
    each: str = ""


@dataclass(frozen=True)
class ProposedColumn:
    """A column of the proposed contract, and of the sample: its values, and how many are missing or different.

    `header` is its name at the source; None for the column that Clearwell fills with the time of the file.
    """

    name: str
    type: str
    why: str
    header: str | None
    description: str = ""
    required: bool = False
    personal: str = ""
    options: dict[str, object] = field(default_factory=dict)
    missing: int = 0
    distinct: int = 0
    is_padded: bool = False


@dataclass(frozen=True)
class Proposal:
    """A proposed contract, why it is so, and what it does to the sample.

    `refused` counts the sample's rows that it refuses, by reason; `example` is the number of the first such row.
    """

    asked: Asked
    sample: Sample
    columns: tuple[ProposedColumn, ...]
    key: tuple[str, ...]
    event_time: str | None
    version: str | None
    money: tuple[str, str] | None
    decided: tuple[str, ...]
    to_decide: tuple[str, ...]
    refused: tuple[dict[str, object], ...] = ()

    @property
    def source(self) -> str:
        return self.asked.source or self.asked.name

    @property
    def owner(self) -> str:
        return self.asked.owner or "unknown"

    def rows(self, count: int) -> list[dict[str, str | None]]:
        """Return the first rows of the sample as the contract reads them, by its names. What it cannot read is marked."""
        places = {name: place for place, name in enumerate(self.sample.columns)}
        read = [
            (one, [places[name] for name in listed(one.options.get("join")) or [one.header]])
            for one in self.columns
            if one.header is not None
        ]
        return [
            {
                one.name: _as_read(one, joined(row[place] for place in at) if len(at) > 1 else row[at[0]])
                for one, at in read
            }
            for row in self.sample.rows[:count]
        ]


def _as_read(column: ProposedColumn, text: str | None) -> str | None:
    value, is_read = as_read(column.type, column.options, text)
    return value if is_read else f"{text} (not read)" if text else None


@dataclass
class _Column:
    """A column of the sample, while it is decided on. `label` is what guesses are made from: its name, or the words of its path."""

    name: str
    header: str
    label: str
    texts: list[str | None]
    values: set[str]
    missing: int
    type: Type

    @property
    def is_padded(self) -> bool:
        """Whether values of a text end in blanks, as those of a fixed width do."""
        return self.type.name == "varchar" and 2 * sum(text.endswith(" ") for text in self.values) > len(self.values)


@dataclass
class _Notes:
    decided: list[str] = field(default_factory=list)
    to_decide: list[str] = field(default_factory=list)


def propose(asked: Asked, sample: Sample, now: datetime) -> Proposal:
    """Propose a contract. Without a key that identifies the sample's rows, or with an unknown column, it is Permanent."""
    notes = _Notes()
    columns = _columns(sample, notes)
    version = _version(asked, columns, notes)
    event_time = _event_time(asked, columns, version, notes)
    by_row = asked.key == (_BY_ROW,) and not any(_BY_ROW in (one.name, one.header) for one in columns)
    key = (_free("row_id", columns),) if by_row else _key(asked, columns, sample, version, notes)
    if sample.format == TABLE:
        _read_keys_as_they_are(columns, key)
        _read_parts_by_query(columns)
    _read_without_blanks(columns, () if sample.format != TABLE else key)
    money = _money(columns, notes)
    made = [_proposed(asked, one, key, event_time, version, notes) for one in columns]
    if by_row:
        made.insert(0, _row_id(asked, key[0], notes))
    elif sample.format not in (JSON_LINES, TABLE) and not version:
        version = _free("file_time", columns)
        description = f"When the file with the record of {asked.name} was published or last changed, UTC."
        why = "the source has no time of change: of two records of a key, the one in the newer file wins"
        made.append(ProposedColumn(version, "timestamp", why, None, description))
        notes.decided.append(f"{version}: {why}")
    elif not version:
        notes.to_decide.append("no column says which of two records of a key is newer: --version COL")
    _say_the_rest(asked, sample, event_time, made, notes)
    return Proposal(
        asked=asked,
        sample=sample,
        columns=tuple(made),
        key=key,
        event_time=event_time,
        version=version,
        money=money,
        decided=tuple(notes.decided),
        to_decide=tuple(notes.to_decide),
        refused=_refused(sample, columns, made, (event_time, version), now),
    )


def settings(proposal: Proposal) -> dict[str, object]:
    """Return the settings of the kind of source that reads the place, as the contract says them."""
    if proposal.sample.format == TABLE:
        connection, table = table_of(proposal.sample.place) or ("", "")
        found: dict[str, object] = {"kind": "table", "connection": connection, **_of_table(proposal, table)}
        header = {one.name: one.header for one in proposal.columns}
        for setting, column in (("placed", proposal.event_time), ("changed", proposal.version)):
            if column and header[column]:
                found[setting] = column
        return found
    found = {"location": proposal.sample.place}
    found |= {"each": proposal.asked.each} if proposal.asked.each else {}
    return found | ({"csv": dict(proposal.sample.csv)} if proposal.sample.csv else {})


def _of_table(proposal: Proposal, table: str) -> dict[str, object]:
    """Return what is read of a database: a table, or a query where blanks at the end of a key are to be taken away."""
    padded = {one.header for one in proposal.columns if one.is_padded and one.name in proposal.key}
    if not padded:
        return {"table": table}
    names = {header: identifier(header) for header in proposal.sample.columns}
    read = ", ".join(f"rtrim({name}) as {name}" if header in padded else name for header, name in names.items())
    schema, _, of_schema = table.partition(".")
    return {"query": f'select {read} from "{schema}"."{of_schema}"'}


def _columns(sample: Sample, notes: _Notes) -> list[_Column]:
    found = []
    folded = Counter(map(fold, sample.columns))
    labels = [sample.labels.get(header, header) for header in sample.columns]
    for place, (header, label, name) in enumerate(zip(sample.columns, labels, plain_names(labels), strict=True)):
        if header not in sample.labels and not guesses.can_be_named(header):
            notes.to_decide.append(f"column {header!r} is left out: a contract cannot say its name; bronze keeps it")
            continue
        if folded[fold(header)] > 1 and sample.format not in (JSON_LINES, TABLE):
            notes.to_decide.append(
                f"column {header} is left out: another column differs from it by case alone; bronze keeps both"
            )
            continue
        texts = [row[place] for row in sample.rows]
        values = {text for text in texts if text is not None}
        proposed = guesses.type_of(label, values, sample.kinds_of(header))
        if proposed.name is None:
            notes.to_decide.append(f"column {header} is left out: {proposed.why}; bronze keeps it")
            continue
        marks = proposed.options.get("missing")
        if isinstance(marks, list):
            texts = [None if text in marks else text for text in texts]
            values -= set(marks)
        missing = sum(not text for text in texts)
        found.append(_Column(name, header, label, texts, values, missing, proposed))
    _read_by_the_rest(sample, found)
    if sample.format != TABLE:
        _join_times(found)
    if not found:
        raise Permanent(
            "no column of the source can be read", where=shown(sample.place), todo="name a place with records"
        )
    return found


def _read_by_the_rest(sample: Sample, columns: Sequence[_Column]) -> None:
    """Decide on columns that their own values leave open: by the days of the files, and by the commas of other columns."""
    has_comma = any(guesses.shows_decimal_comma(one.values) for one in columns)
    for one in columns:
        read: Type | None = None
        if one.type.why == guesses.DAY_OR_MONTH and sample.days:
            read = guesses.by_days(one.values, *sample.days)
        elif one.type.why == guesses.COMMA and has_comma:
            read = guesses.with_decimal_comma(one.values)
        one.type = read or one.type


def _read_keys_as_they_are(columns: Sequence[_Column], key: tuple[str, ...]) -> None:
    """Make texts of the key's columns that are no whole numbers or dates as they are written: of a table, texts of keys are compared."""
    for one in columns:
        is_same = one.type.name in ("varchar", "date") or (
            one.type.name == "bigint" and all(map(_is_plain, one.values))
        )
        if one.name in key and (not is_same or one.type.options):
            one.type = Type("varchar", f"{one.type.why}; as a key of a table, its text is compared")


def _read_parts_by_query(columns: Sequence[_Column]) -> None:
    """Say of a table's JSON and arrays how a part of them is read."""
    for one in columns:
        if one.type.why == guesses.JSON:
            why = (
                "texts: JSON or an array; a `query` in place of `table` reads a part, as by `name->>'en'` or `name[1]`"
            )
            one.type = replace(one.type, why=why)


def _join_times(columns: list[_Column]) -> None:
    """Make one time of a date and the time of day in the column behind it. Of a table, times are read as they are."""
    for one, other in list(pairwise(columns)):
        found = guesses.time_of_two(one.type, other.label, other.values)
        if found and one in columns:
            one.texts = [joined(texts) for texts in zip(one.texts, other.texts, strict=True)]
            both = {text for text in one.texts if text}
            read = guesses.reader("timestamp", found.options)
            written = found.options["time_format"]
            if not all(map(read, both)):
                written = [written, str(written).partition(" ")[0]]
            one.type = Type(found.name, found.why, {"join": [one.header, other.header], "time_format": written})
            one.values = both
            columns.remove(other)


def _is_plain(text: str) -> bool:
    return text.lstrip("-").isdecimal() and str(int(text)) == text


def _read_without_blanks(columns: Sequence[_Column], of_table: tuple[str, ...]) -> None:
    """Take away the blanks at the end of texts of a fixed width. Those of a table's key are taken away by its query."""
    for one in columns:
        if one.is_padded and one.name not in of_table and "values" not in one.type.options:
            options = {**one.type.options, "values": {r"\1": "/(.*?) */"}}
            one.type = Type(one.type.name, f"{one.type.why}, without the blanks at the end", options)


def _named(columns: Sequence[_Column], said: str, option: str) -> _Column:
    """Find a column by the name that a user says: the contract's or the source's."""
    for one in columns:
        if said in (one.name, one.header):
            return one
    near = guess(said, [name for one in columns for name in (one.name, one.header)])
    raise Permanent(
        f"{option} names {said}, which is no column of the source{near}",
        todo=f"name one of: {', '.join(one.name for one in columns)}",
    )


def _as_time(column: _Column) -> bool:
    """Say whether a column is a time, but for a few wrong values; then make it one."""
    if column.type.name in ("timestamp", "date"):
        return True
    there = [text for text in column.texts if text]
    found = guesses.mostly_time(there) if column.type.is_text and there else None
    if not found or found[1] > _TOLERATED * len(there):
        return False
    column.type = found[0]
    return True


def _version(asked: Asked, columns: Sequence[_Column], notes: _Notes) -> str | None:
    if asked.version:
        found = _named(columns, asked.version, "--version")
        _as_time(found)
        notes.decided.append(f"version {found.name}: as you say")
        return found.name
    named = [one for one in columns if guesses.is_version(one.label) and one.values]
    times = [one for one in named if _as_time(one)] or [
        one for one in named if one.type.name == "bigint" and len(one.values) > 1
    ]
    if not times:
        return None
    best = min(times, key=lambda one: (one.type.name != "timestamp", one.missing))
    notes.decided.append(f"version {best.name}: its name; of two records of a key, the one with the greater value wins")
    return best.name


def _event_time(asked: Asked, columns: Sequence[_Column], version: str | None, notes: _Notes) -> str | None:
    if asked.event_time:
        found = _named(columns, asked.event_time, "--event-time")
        if not _as_time(found):
            raise Permanent(
                f"--event-time names {asked.event_time}, which is no time that Clearwell reads: {found.type.why}",
                todo="name a column of times such as 2026-11-01T10:00:00Z, or leave --event-time out",
            )
        notes.decided.append(f"event time {found.name}: as you say")
        return found.name
    ranked = [
        (guesses.event_rank(one.label), one.label == one.header, one.type.name == "timestamp", -one.missing, one)
        for one in columns
        if one.name != version and guesses.event_rank(one.label) and 2 * one.missing < len(one.texts) and _as_time(one)
    ]
    if not ranked and (only := _only_time(columns, version)):
        notes.decided.append(f"event time {only.name}: no other column has times")
        notes.to_decide.append(f"whether {only.name} says when a record happened: --event-time COL")
        return only.name
    if not ranked:
        what = "no column says when a record happened, so the dataset has no dates, as customers and products have none"
        times = [one.name for one in columns if one.type.name in ("timestamp", "date") and one.name != version]
        some = f", of which {', '.join(times[:_SHOWN_TIMES])} may be one" if times else ""
        notes.to_decide.append(f"{what}; if one does: --event-time COL{some}")
        return None
    best = max(ranked, key=lambda one: one[:-1])[-1]
    others = [one.name for *_, one in ranked if one is not best]
    notes.decided.append(f"event time {best.name}: its name and its values")
    if others:
        notes.to_decide.append(f"whether {best.name} dates a record, or {' or '.join(others)} does: --event-time COL")
    return best.name


def _only_time(columns: Sequence[_Column], version: str | None) -> _Column | None:
    """Return the one column of times that most records have, whatever it is called, unless its name says that it is another time."""
    times = [one for one in columns if one.type.name == "timestamp" and one.name != version]
    is_clear = len(times) == 1 and 2 * times[0].missing < len(times[0].texts)
    return times[0] if is_clear and not guesses.is_other_time(times[0].label) else None


def _key(
    asked: Asked, columns: Sequence[_Column], sample: Sample, version: str | None, notes: _Notes
) -> tuple[str, ...]:
    """Find the columns that identify a record: those that the user says, the table's own, or those that do in the sample."""
    rows = _distinct(sample.rows)
    if said := asked.key or sample.key:
        found = [_named(columns, one, "--key" if asked.key else "the table's key") for one in said]
        collide, none = _collisions(found, rows, sample)
        told = f"; in the sample, {collide:,} records share their key with another one" if collide else ""
        notes.decided.append(
            f"key {_said(found)}: {'as you say' if asked.key else 'the primary key of the table'}{told}"
        )
        if none > _TOLERATED * len(rows):
            notes.to_decide.append(
                f"{none:,} of {len(rows):,} rows have no {_said(found)}, and are refused; where that is meant, `breaker: {{share: 1}}`"
                " in the contract keeps them from holding the others; if they are no records, such as totals,"
                f" `where: [{{from: {max(found, key=lambda one: one.missing).header}, is_not: ['']}}]` leaves them out"
            )
        return tuple(one.name for one in found)
    ranks = {one.name: _id_rank(one, asked.name) for one in columns}
    by_version = next((one for one in columns if one.name == version), None)
    singles = sorted((one for one in columns if _may_identify(one, ranks)), key=lambda one: -ranks[one.name])
    tried: list[_Candidate] = []
    for one in singles:
        allowed = _TOLERATED * len(one.texts) if ranks[one.name] == 3 else 0
        collide, missing = _collisions([one], rows, sample)
        again = ranks[one.name] == 3 and by_version and collide and not _collisions([one, by_version], rows, sample)[0]
        is_proof = ranks[one.name] >= 2 or len(rows) >= _PROVING_ROWS
        if missing <= allowed and is_proof and (not collide or again):
            notes.decided.append(f"key {one.name}: different in each record of the sample{_versions(collide)}")
            if ranks[one.name] < 3:
                notes.to_decide.append(f"whether {one.name} {_BY_CHANCE}")
            return (one.name,)
        if is_proof:
            tried.append(_Candidate(collide, missing, (one,)))
    named = [one for one in singles if ranks[one.name] >= 2 and not one.missing]
    # two columns differ by chance if one of them is the time of a record
    parts = [
        one
        for one in columns
        if not one.missing and guesses.is_part_of_key(one.label) and one.type.name in ("varchar", "bigint", "date")
    ]
    codes = [one for one in singles if one not in named and not one.missing and guesses.are_codes(one.values)]
    positions = [one for one in parts if guesses.is_position(one.label)]
    counted = _pairs_of([*named, *codes], [one for one in columns if one not in positions])
    by_count = (pair for pair in counted if _is_counted(*pair))
    for first, second in chain(_pairs(named, parts), _pairs_of(codes, positions), by_count):
        collide, _ = _collisions([first, second], rows, sample)
        is_changed = (
            by_version and second in positions and not _collisions([first, second, by_version], rows, sample)[0]
        )
        if not collide or is_changed:
            notes.decided.append(
                f"key {_said([first, second])}: together, different in each record of the sample{_versions(collide)}"
            )
            notes.to_decide.append(f"whether {_said([first, second])} {_BY_CHANCE}")
            return first.name, second.name
        tried.append(_Candidate(collide, 0, (first, second)))
    # rows that are no records, such as totals, have no position
    lacking = [one for one in columns if one.missing and guesses.is_position(one.label)]
    for first, second in _pairs_of(named, lacking):
        tried.append(_Candidate(*_collisions([first, second], rows, sample), (first, second)))
    raise _no_key(asked, tried, len(rows))


def _versions(collide: int) -> str:
    return f"; {collide:,} records of the sample are versions of the same keys" if collide else ""


def _id_rank(column: _Column, dataset: str) -> int:
    """Rank how much a column sounds like the id of the records; of one without a name, how much its values look like ids."""
    if guesses.has_no_name(column.label):
        return 2 * guesses.are_random(column.values)
    return guesses.id_rank(column.label, dataset)


def _is_counted(first: _Column, second: _Column) -> bool:
    """Say whether one column counts the rows of each value of the other one, as lines of an order are, whatever it is called."""
    if second.missing or not all(map(str.isdecimal, second.values)):
        return False
    begin = min(map(int, second.values))
    counts: dict[str | None, list[int]] = {}
    for text, number in zip(first.texts, second.texts, strict=True):
        counts.setdefault(text, []).append(int(number or 0))
    several = [one for one in counts.values() if len(one) > 1]
    steps = {after - before for one in several for before, after in pairwise(sorted(one))}
    is_begun = sum(min(one) == begin for one in counts.values()) >= _BEGUN * len(counts)
    return len(several) >= _COUNTED and len(steps) == 1 and is_begun and begin in (0, 1, *steps)


def _pairs(named: Sequence[_Column], parts: Sequence[_Column]) -> Iterable[tuple[_Column, _Column]]:
    yield from combinations(named, 2)
    yield from _pairs_of(named, [one for one in parts if one not in named])


def _pairs_of(named: Sequence[_Column], parts: Sequence[_Column]) -> Iterable[tuple[_Column, _Column]]:
    return ((one, other) for one in named for other in parts if one is not other)


@dataclass(frozen=True)
class _Candidate:
    """Columns that do not identify the rows: so many share theirs with an earlier one, and so many have none."""

    collide: int
    missing: int
    columns: tuple[_Column, ...]

    def __str__(self) -> str:
        found = [f"{self.collide:,} collide"] if self.collide else []
        found += [f"{self.missing:,} have none"] if self.missing else []
        return f"by {_said(self.columns)}, {' and '.join(found)}"


def _no_key(asked: Asked, tried: Sequence[_Candidate], rows: int) -> Permanent:
    if not rows:
        return Permanent(
            "the source has no rows, so nothing shows what identifies a record",
            where=shown(asked.place),
            todo="look again when it has some, or say what does: `--key COL`",
        )
    best = sorted(tried, key=lambda one: one.collide + one.missing)[:_SHOWN_CANDIDATES]
    near = f": of {rows:,} rows, {'; '.join(map(str, best))}" if best else ""
    option = f"--key {','.join(one.name for one in best[0].columns)}" if best else "--key COL"
    without = ", which refuses the rows that have none" if best and not best[0].collide else ""
    return Permanent(
        f"no column and no pair of columns identifies a record in the sample{near}",
        where=shown(asked.place),
        todo=f"say what does, such as `{option}`{without}; or `--key row`, if each row is a record of its own",
    )


def _distinct(rows: Sequence[Row]) -> list[Row]:
    """Leave out rows that are equal in all columns: they are duplicates, whatever the key."""
    return list(dict.fromkeys(rows))


def _may_identify(column: _Column, ranks: dict[str, int]) -> bool:
    """Say whether a column can be a key by itself. Amounts, times and texts of words may differ by chance."""
    if column.type.name not in ("varchar", "bigint") or not column.values or guesses.is_index(column.label):
        return False
    if ranks[column.name] >= 2:
        return True
    is_time = guesses.event_rank(column.label) or guesses.is_other_time(column.label)
    are_words = 2 * sum(" " in one for one in column.values) > len(column.values)
    if is_time or are_words or column.type.why in (guesses.DAY_OR_MONTH, guesses.COMMA):
        return False
    return max(map(len, column.values)) <= 40 and not guesses.personal(column.label, column.values)


def _collisions(columns: Sequence[_Column], rows: Sequence[Row], sample: Sample) -> tuple[int, int]:
    """Count the rows that share their key with an earlier one, and those that have no whole key."""
    places = [sample.columns.index(one.header) for one in columns]
    keys = [tuple(row[place] for place in places) for row in rows]
    whole = [key for key in keys if all(key)]
    return len(whole) - len(set(whole)), len(keys) - len(whole)


def _said(columns: Sequence[_Column]) -> str:
    return " and ".join(one.name for one in columns)


def _money(columns: Sequence[_Column], notes: _Notes) -> tuple[str, str] | None:
    """Find the record's money: surely, if one column is an amount by its name and its values and one is its currency."""
    decimals = [one for one in columns if str(one.type.name).startswith("decimal")]
    amounts = [one for one in decimals if guesses.is_amount(one.label)]
    prices = [one for one in decimals if guesses.is_price(one.label)]
    currencies = [one for one in columns if is_currency(one.label, one.values)]
    if len(amounts) == 1 and len(currencies) == 1 and amounts[0].type.name == guesses.MONEY:
        notes.decided.append(f"money {amounts[0].name} in {currencies[0].name}: their names and values")
        return amounts[0].name, currencies[0].name
    if amounts or prices:
        listed = ", ".join(one.name for one in [*amounts, *prices])
        where = "no column is its currency" if not currencies else f"its currency is in {_said(currencies)}"
        notes.to_decide.append(f"whether {listed} is a record's money, which `money` in the contract says; {where}")
    return None


def _proposed(
    asked: Asked, column: _Column, key: tuple[str, ...], event_time: str | None, version: str | None, notes: _Notes
) -> ProposedColumn:
    is_part, is_time = column.name in key, column.name == event_time
    few = column.missing <= _TOLERATED * len(column.texts)
    personal = guesses.personal(column.label, column.values)
    if personal:
        notes.decided.append(f"{column.name} is personal data: {personal}")
    return ProposedColumn(
        name=column.name,
        type=str(column.type.name),
        why=column.type.why,
        header=column.header,
        description=_description(
            asked.name, column, is_part=is_part, is_time=is_time, is_version=column.name == version
        ),
        required=is_part or (is_time and few),
        personal=personal,
        options=dict(column.type.options),
        missing=column.missing,
        distinct=len(column.values),
        is_padded=column.is_padded,
    )


def _description(dataset: str, column: _Column, *, is_part: bool, is_time: bool, is_version: bool) -> str:
    """Say what is true of a column: what the source calls it, and what Clearwell uses it for."""
    header = " ".join(column.header.split())
    uses = [
        *(["identifies a record"] if is_part else []),
        *(["says when it happened, UTC"] if is_time and column.type.name == "timestamp" else []),
        *(["says on which date it happened"] if is_time and column.type.name == "date" else []),
        *(["says which of two versions is newer"] if is_version else []),
    ]
    name = "" if header == column.name else f", here {column.name}"
    used = f"; {', and '.join(uses)}" if uses else ""
    return f"The source of {dataset} calls it {header}{name}{used}."


def _row_id(asked: Asked, name: str, notes: _Notes) -> ProposedColumn:
    """Return the column that identifies rows without an id of their own."""
    why = "each row is a record of its own: its content and its number among equal rows identify it"
    notes.decided.append(f"key {name}: {why}")
    return ProposedColumn(
        name=name,
        type="varchar",
        why=why,
        header=None,
        description=f"Which row of {asked.name} it is, by its content and its number among equal rows.",
        required=True,
        options={"row_id": True},
    )


def _free(name: str, columns: Sequence[_Column]) -> str:
    """Return a name that no column has."""
    taken = {fold(one) for column in columns for one in (column.name, column.header)}
    free, number = name, 1
    while fold(free) in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _say_the_rest(
    asked: Asked, sample: Sample, event_time: str | None, columns: Sequence[ProposedColumn], notes: _Notes
) -> None:
    for one in columns:
        if "missing" in one.options:
            notes.to_decide.append(f"{one.name}: whether {_listed(one.options['missing'])} means no value")
        if one.header and LIST in sample.kinds_of(one.header) and (is_path(one.header) or step(one.header)):
            path = one.header if is_path(one.header) else f"${step(one.header)}"
            if steps_of(path):
                notes.to_decide.append(
                    f"{one.name}: a list; `--each {path}` would make a record of each of its elements"
                )
        if one.why.startswith("texts: ") or "are refused" in one.why:
            notes.to_decide.append(f"{one.name}: {one.why}")
        if guesses.NAIVE in one.why and one.header:
            notes.to_decide.append(f"{one.name}: {guesses.NAIVE}, unless `timezone` in the contract says another zone")
    if not asked.owner:
        notes.to_decide.append("who owns the dataset: --owner OWNER, or `owner` in the contract")
    if sample.csv.get("encoding") in OTHER_ENCODINGS:
        notes.to_decide.append(
            f"whether the file is in {sample.csv['encoding']}: letters beyond ASCII show it in the first rows; `encoding` under `csv`"
        )
    if sample.left_out:
        some = ", ".join(sample.left_out[:_SHOWN_CANDIDATES])
        notes.to_decide.append(
            f"{len(sample.left_out):,} more values deep in the lines are left out, such as {some}; bronze keeps them"
        )
    if padded := [one.name for one in columns if one.is_padded]:
        notes.decided.append(f"{_listed(padded)}: the blanks at the end of values are taken away")
    if "header" in sample.csv:
        notes.to_decide.append(
            "what the columns are called: the file has no header; `header` under `csv` in the contract names them"
        )
    if sample.format != TABLE and "${" not in asked.place and "://" not in asked.place:
        notes.to_decide.append(
            "whether the path is the same wherever Clearwell runs: `location` may name a variable, as ${FOLDER}/file.csv"
        )
    if event_time and not sample.is_whole:
        notes.decided.append(
            f"the rest of the source was not read: `clearwell datasets check {asked.name}` reads a whole day"
        )


def _listed(marks: object) -> str:
    return ", ".join(str(one) or '""' for one in marks) if isinstance(marks, list) else str(marks)


def _refused(
    sample: Sample,
    columns: Sequence[_Column],
    made: Sequence[ProposedColumn],
    never_in_future: Collection[str | None],
    now: datetime,
) -> tuple[dict[str, object], ...]:
    """Count the rows of the sample that the contract refuses, by reason, as dead letters name them."""
    counts: Counter[str] = Counter(sample.unread)
    first: dict[str, int] = {}
    latest = now + timedelta(days=1)
    by_name = {one.name: one for one in columns}
    for column in made:
        if column.header is None:
            continue
        is_clock = column.name in never_in_future and column.type in ("timestamp", "date")
        if not column.required and not is_clock:
            continue
        read = guesses.reader(column.type, column.options)
        for number, text in enumerate(by_name[column.name].texts, 1):
            reason = ""
            if not text:
                reason = "missing" if column.required else ""
            elif is_clock:
                at = read(text)
                reason = "not_parsed" if at is None else "in_future" if at > latest else ""
            if reason:
                counts[f"{reason}:{column.name}"] += 1
                first.setdefault(f"{reason}:{column.name}", number)
    rows = list(sample.rows)
    return tuple(
        {
            "reason": reason,
            "rows": count,
            "example": ", ".join(text or "" for text in rows[first[reason] - 1]) if reason in first else "",
        }
        for reason, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    )
