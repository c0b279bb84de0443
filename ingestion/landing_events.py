"""Lineage events of landing a window: from the tables or files of its source to the batches in bronze."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ingestion import dataset_names, lineage, log
from ingestion.contract import Contract
from ingestion.land import Landing, Run
from ingestion.manifest import Manifest

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset


@contextmanager
def landing_events(source: str, run: Run) -> Iterator[list[Landing]]:
    """Emit that a run of landing a window began, and how it ended: with the landing that is added to the list.

    The first is emitted by a second thread while the window lands: the imports alone take a fifth of a second.
    """
    found: list[Landing] = []
    if not lineage.is_on():
        yield found
        return
    began, at = time.monotonic(), log.moment(run.landed_at)
    with ThreadPoolExecutor(1, "lineage") as second:
        beginning = second.submit(copy_context().run, _emit, source, run, at)
        if not run.home.root.is_dir():
            beginning.result()  # it is not written into a home that the landing makes
        try:
            yield found
        except BaseException as error:
            ended = at + timedelta(seconds=time.monotonic() - began)
            beginning.result()
            _emit(source, run, ended, error=error)
            raise
        ended = at + timedelta(seconds=time.monotonic() - began)
        beginning.result()
        _emit(source, run, ended, found)


def _emit(
    source: str, run: Run, at: datetime, found: Sequence[Landing] = (), *, error: BaseException | None = None
) -> None:
    with lineage.never_failing():
        from ingestion import lineage_events as events

        state = events.COMPLETE if found else events.START if error is None else events.ended_by(error)
        contracts = [one for one in run.contracts.values() if one.source == source]
        facets = {**events.parent_facets(), **events.window_facets(run.window)}
        if error is not None:
            facets |= events.error_facets(error)
        event = events.run_event(
            state,
            at,
            f"ingest.{source}",
            log.ids()["run_id"],
            job_type="INGEST",
            run_facets=facets,
            inputs=[_input(one, _new(found, one.dataset), run) for one in contracts],
            outputs=[_output(one.dataset, _new(found, one.dataset), run) for one in contracts],
        )
        events.emit(run.home, [event])


def _new(found: Sequence[Landing], dataset: str) -> list[Manifest]:
    return [
        manifest
        for landing in found
        for manifest in landing.manifests
        if manifest.dataset == dataset and manifest.batch_id in landing.new
    ]


def _input(contract: Contract, new: Sequence[Manifest], run: Run) -> "InputDataset":
    """Return a table or the files of a source, with how many records it counted itself of those that are new."""
    from openlineage.client.event_v2 import InputDataset
    from openlineage.client.facet_v2 import input_statistics_input_dataset

    from ingestion import lineage_events as events

    columns = [(contract.at_source(one.name)[0], one.type, one.description) for one in contract.columns]
    counts = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
        rowCount=sum(one.counted_by_source for one in new)
    )
    return InputDataset(
        *dataset_names.of_source(contract, run.home),
        facets=events.schema_facets(columns),
        inputFacets={"inputStatistics": counts} if new else {},
    )


def _output(dataset: str, new: Sequence[Manifest], run: Run) -> "OutputDataset":
    """Return a dataset in bronze with what was added to it: no batches if the window has only what had landed before."""
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset

    from ingestion import lineage_events as events

    columns = dict.fromkeys(name for one in new for name in one.columns or ("raw",))
    counts = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=sum(one.records_written for one in new),
        size=sum(one.bytes for one in new),
        fileCount=sum(len(one.files) for one in new),
    )
    return OutputDataset(
        *dataset_names.of_bronze(dataset, run.home),
        facets={
            **events.batch_tags(one.batch_id for one in new),
            **(events.schema_facets((name, "text", "") for name in columns) if columns else {}),
        },
        outputFacets={"outputStatistics": counts} if new else {},
    )
