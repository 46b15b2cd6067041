"""Which addresses may be sent credentials: the rule of the settings and of the client alike."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def check_address(base_url: str) -> None:
    """Raise ValueError, in words that go on after the address' name, unless credentials may go to the API root.

    It is https, or http to this machine, without the version, and nothing but an address.
    """
    try:
        url = urlsplit(base_url)
        port_is_fine = url.port is None or url.port > 0
        (url.hostname or "").encode("idna")  # a host of this name can be looked for
    except ValueError:
        raise ValueError("is not an address") from None
    if url.scheme not in ("http", "https") or not url.hostname or not port_is_fine:
        raise ValueError("is not an http address")
    if any(mark in base_url for mark in "?#") or "@" in url.netloc:
        raise ValueError("holds a user, a query or a fragment")
    if not base_url.isprintable() or " " in base_url:
        raise ValueError("holds blanks or control characters")
    if url.path.rstrip("/").rpartition("/")[2] in ("v1", "v2"):
        raise ValueError("ends with a version, which CLOPOS_API_VERSION sets")
    if url.scheme == "http" and not is_this_machine(url.hostname):
        raise ValueError(
            f"would send the credentials to {url.hostname} unencrypted: use https (http is for this machine only)"
        )


def is_this_machine(host: str) -> bool:
    """Whether a host is a loopback one."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
