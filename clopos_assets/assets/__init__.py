"""Dagster wrappings of the tables: thin, because what they do is in `line`."""
