"""Ingest the sources into bronze: one window in, immutable batches out."""
