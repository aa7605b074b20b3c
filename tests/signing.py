"""The signature of a webhook, as its sender makes it."""

from __future__ import annotations

import base64
import hashlib
import hmac


def signature(content: bytes, secret: str) -> str:
    """HMAC-SHA256 over the raw body, in hexadecimal digits."""
    return hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()


def standard_signature(delivery: str, stamp: str, body: bytes, secret: str) -> str:
    """That of Standard Webhooks: of id, time and body, with the bytes that the secret is in base64."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{delivery}.{stamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()}"
