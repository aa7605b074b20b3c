"""A service account of Google's: its key, and the token endpoint that takes a signed assertion for a token."""

from __future__ import annotations

from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.stand_ins.web_service import Reply, Request, WebService

TOKEN = "ya29.s3cret-token"
VIEWER = "loader@own.iam.gserviceaccount.com"


def new_key() -> rsa.RSAPrivateKey:
    """What an account signs with."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_key_of(key: rsa.RSAPrivateKey) -> str:
    """What checks the assertions that `key` has signed."""
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, kind).decode()


def key_file(key: rsa.RSAPrivateKey, token_uri: str, account: str = VIEWER) -> dict[str, str]:
    """The account's key as Google hands it out."""
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": "own",
        "private_key_id": "1",
        "private_key": private.decode(),
        "client_email": account,
        "token_uri": token_uri,
    }


def extra_of(service: WebService, key: rsa.RSAPrivateKey, account: str = VIEWER) -> dict[str, object]:
    """The extra of an Airflow connection to a service of Google's: the account's key, and where the API is."""
    return {"keyfile_dict": key_file(key, f"{service.uri}/token", account), "endpoint": service.uri}


def token_for(request: Request, public_key: str) -> Reply:
    """The answer to an assertion."""
    assertion = parse_qs(request.body)["assertion"][0]
    claims = jwt.decode(assertion, public_key, ["RS256"], audience="https://oauth2.googleapis.com/token")
    if claims["iss"] != VIEWER:
        return Reply(400, {"error": "invalid_grant", "error_description": "Invalid grant: account not found"})
    return Reply(body={"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"})
