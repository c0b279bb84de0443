"""Bring what the sources hold into bronze: one window in, immutable batches out."""
