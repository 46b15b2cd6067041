"""An S3 server on loopback for tests, with its buckets, and the environment that leads to it."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from uuid import uuid4

import boto3
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

SECRET = "s3cr3t-value"  # made up
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "somebody",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What tells AWS tools who they are, and nothing of the machine's own."""


@contextmanager
def s3_server() -> Iterator[str]:
    """The address of a server on a free port of loopback."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def new_bucket(endpoint: str) -> str:
    """A bucket that nobody else uses."""
    name = f"bucket-{uuid4().hex}"
    client(endpoint).create_bucket(Bucket=name)
    return name


def fill(bucket: str, keys: Iterable[str]) -> None:
    """Empty objects in a bucket of this process's server, not by requests: of a thousand, each takes it 10 ms."""
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for key in keys:
        backend.put_object(bucket, key, b"")


@lru_cache(maxsize=10)
def client(endpoint: str) -> Any:
    """A way to the server that is not the product's."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="somebody",
        aws_secret_access_key=SECRET,
    )
