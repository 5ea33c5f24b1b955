"""Google's token endpoint for one service account, as sandboxes need it (RFC 7523): a key file, tokens for assertions it signed."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

import google.auth.jwt
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

TOKEN_LIFE_S: Final = 3600
#: The client library states this audience whatever the token_uri is.
AUDIENCE: Final = "https://oauth2.googleapis.com/token"
decode_assertion: Any = google.auth.jwt.decode  # the library has no type information here


class TokenIssuer:
    """Gives out tokens, and knows which of them still count; `tokens` maps each to its end on the monotonic clock."""

    def __init__(self, credentials_file: Path) -> None:
        self.credentials_file = credentials_file
        self.tokens: dict[str, float] = {}
        self.scopes: set[str] = set()
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def write(self, *, token_uri: str) -> None:
        """The key file that a client is given."""
        private = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        content = {
            "type": "service_account",
            "project_id": "sandbox",
            "private_key_id": "sandbox-key",
            "private_key": private.decode(),
            "client_email": "reader@sandbox.iam.gserviceaccount.com",
            "client_id": "1",
            "token_uri": token_uri,
        }
        self.credentials_file.parent.mkdir(parents=True, exist_ok=True)
        self.credentials_file.touch(mode=0o600)
        self.credentials_file.write_bytes(msgspec.json.encode(content))

    def answer(self, body: bytes) -> tuple[int, object]:
        """A token for an assertion that our service account's key signed."""
        form = parse_qs(body.decode())
        public = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        try:
            claims = decode_assertion(form["assertion"][0], certs=public, audience=AUDIENCE)
        except (KeyError, ValueError):
            return 400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        self.scopes |= set(str(claims.get("scope", "")).split())
        token = f"ya29.{secrets.token_urlsafe(24)}"
        self.tokens[token] = time.monotonic() + TOKEN_LIFE_S
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIFE_S}

    def accepts(self, authorization: str) -> bool:
        """Whether a header `Bearer …` carries a token that counts."""
        return self.tokens.get(authorization.removeprefix("Bearer "), 0.0) >= time.monotonic()
