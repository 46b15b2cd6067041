"""Dagster wrappings of the tables: thin, because what they do is in `ingest`, `compute` and `lake`."""
