"""Which authorities' certificates count: those of SSL_CERT_FILE or SSL_CERT_DIR, else Mozilla's."""

from __future__ import annotations

import ssl
from functools import cache

import httpx


def trusted() -> ssl.SSLContext:
    """For `verify` of every client: httpx itself reads the authorities again for each, 20 ms and more."""
    return _read(ssl.get_default_verify_paths())


@cache
def _read(_places: ssl.DefaultVerifyPaths) -> ssl.SSLContext:
    return httpx.create_ssl_context()
