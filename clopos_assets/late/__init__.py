"""Receipts that change after their shift ended: seeing them, and deciding which shift dates are to be made again.

Plain Python over the API client, the ingest and the lake; no Dagster.
"""
