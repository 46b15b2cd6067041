"""The minimal client again, over aiohttp, which the product uses too: what remains is what the pipeline adds."""

from pathlib import Path

import aiohttp
from yarl import URL

from tests.benchmarks import minimal


class Api(minimal.Api):
    """See `minimal.Api`."""

    _session: aiohttp.ClientSession | None = None

    async def ask(self, method: str, target: str, body: bytes = b"") -> bytes:
        """See `minimal.Api`."""
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=minimal.IN_FLIGHT))
        url = URL(f"http://{self._host}:{self._port}{self._path}{target}", encoded=True)
        headers = {"x-token": self.token, "content-type": "application/json"}
        async with self._session.request(method, url, headers=headers, data=body or None) as response:
            response.raise_for_status()
            return await response.read()

    async def close(self) -> None:
        """See `minimal.Api`."""
        if self._session is not None:
            await self._session.close()


def fetch(root: Path) -> None:
    """See `minimal.fetch`."""
    minimal.fetch(root, Api)
