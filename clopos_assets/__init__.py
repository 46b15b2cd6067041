"""Clopos receipts and stock deductions as Dagster assets, one partition per shift date."""
