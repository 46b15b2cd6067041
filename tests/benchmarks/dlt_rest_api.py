"""dlt's side of the comparison: its `rest_api` source as its documentation shows it, into Parquet files.

A list of receipts, and a resource that depends on it for each receipt's stock operations; both by the paginators and
with the parallel extraction that the documentation recommends. Needs the extra `benchmarks`.
"""

import os
from pathlib import Path

import dlt
import requests
from dlt.sources.rest_api import rest_api_source
from dlt.sources.rest_api.typing import RESTAPIConfig


def fetch(root: Path) -> None:
    """Receipts of the first shift date, lines and stock operations, as a dataset of Parquet files below `root`."""
    base_url = f"{os.environ['CLOPOS_BASE_URL']}/v2/"
    day = os.environ["CLOPOS_START_DATE"]
    names = ("client_id", "client_secret", "brand", "integrator_id")
    credentials = {name: os.environ[f"CLOPOS_{name.upper()}"] for name in names}
    token = requests.post(f"{base_url}auth", json=credentials, timeout=30).json()["token"]
    config: RESTAPIConfig = {
        "client": {
            "base_url": base_url,
            "auth": {"type": "api_key", "name": "x-token", "api_key": token, "location": "header"},
        },
        "resource_defaults": {"primary_key": "id", "write_disposition": "replace"},
        "resources": [
            {
                "name": "receipts",
                "endpoint": {
                    "path": "receipts",
                    "params": {
                        "limit": 200,
                        "sort[0]": "id",
                        "sort[1]": 1,
                        "date[0]": day,
                        "date[1]": day,
                        "with[0]": "receipt_products",
                        "with[1]": "receipt_products.modificators",
                    },
                    "data_selector": "data",
                    "paginator": {"type": "page_number", "base_page": 1, "total_path": None},
                },
            },
            {
                "name": "stock_operations",
                "parallelized": True,
                "endpoint": {
                    "path": "receipts/{resources.receipts.id}/stock-operations",
                    "data_selector": "data",
                    "paginator": "single_page",
                },
            },
        ],
    }
    pipeline = dlt.pipeline(
        "clopos",
        pipelines_dir=str(root / "pipelines"),
        destination=dlt.destinations.filesystem(str(root / "dataset")),
        dataset_name="clopos",
    )
    pipeline.run(rest_api_source(config), loader_file_format="parquet")
