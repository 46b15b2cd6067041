"""TLS on loopback: a certificate that nobody vouches for is told at once, one that this machine trusts is taken."""

import asyncio
import os
import ssl
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from clopos_assets.clopos.client import Clopos
from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.errors import CloposRefusedError
from clopos_assets.clopos.quota import Quota
from clopos_assets.clopos.token import TokenCache

from .brand import SECRET
from .server import Reply, Server, reply_json

_ASK = """
import asyncio, sys
from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.wire import Request, Wire

async def ask():
    async with Wire(Connection(sys.argv[1], "client", "secret", "brand", "i")) as wire:
        print((await wire.send(Request("GET", "/x", "GET /x", {}))).body.decode())

asyncio.run(ask())
"""


def _sign_itself(folder: Path, *names: x509.GeneralName, days: int = 1) -> ssl.SSLContext:
    """A server's certificate, valid for some days from yesterday, which lies in the folder as `server.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server of this test")])
    begins = datetime.now(UTC) - timedelta(days=3)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=3 + days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    unlocked = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unlocked)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "key.pem")
    return context


_HERE = x509.IPAddress(IPv4Address("127.0.0.1"))


def test_a_certificate_that_nobody_vouches_for_ends_it_with_one_line(tmp_path: Path) -> None:
    async def ask(url: str) -> None:
        connection = Connection(url, "client", SECRET, "brand", "i")
        async with Clopos(connection, quota=Quota(300, 60), tokens=TokenCache()) as clopos:
            await clopos.list_venues()

    tls = _sign_itself(tmp_path, _HERE)
    # Refused, and not tried again and again: it stays so until somebody acts.
    with Server(lambda asked: reply_json({}), tls=tls) as server, pytest.raises(CloposRefusedError) as caught:
        asyncio.run(ask(server.url))
    assert str(caught.value) == (
        "POST /v2/auth: the server's certificate is not trusted (self-signed certificate): check CLOPOS_BASE_URL, or "
        "let this machine trust who signed it (SSL_CERT_FILE)"
    )
    assert caught.value.__context__ is None  # it would hold the request, with its headers


@pytest.mark.parametrize(
    ("name", "days", "cause"),
    [
        (_HERE, 1, ""),
        (x509.DNSName("elsewhere.example"), 1, "IP address mismatch, certificate is not valid for '127.0.0.1'"),
        (_HERE, -1, "certificate has expired"),
    ],
    ids=["trusted", "of another host", "ended"],
)
def test_a_certificate_of_an_authority_that_this_machine_trusts(
    tmp_path: Path, name: x509.GeneralName, days: int, cause: str
) -> None:
    with Server(lambda asked: Reply(body=b"{}"), tls=_sign_itself(tmp_path, name, days=days)) as server:
        environment = os.environ | {"SSL_CERT_FILE": str(tmp_path / "server.pem")}
        command = [sys.executable, "-c", _ASK, server.url]  # whom to trust is read when a process begins
        told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    if cause:
        last = told.stderr.splitlines()[-1]
        assert f"CloposRefusedError: GET /x: the server's certificate is not trusted ({cause}): check" in last
    else:
        assert (told.stdout, told.stderr) == ("{}\n", "")
