"""A small OpenID Connect provider on loopback, whose tokens are signed, and which can go wrong."""

import base64
import hashlib
import json
import secrets
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CLIENT, SECRET = "portal", "client-secret-canary"


class Provider:
    """Signs in whoever comes, as `claims` say. `fault` names what it does wrong."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {}
        self.fault = ""
        self.key = rsa.generate_private_key(65537, 2048)
        self._other = rsa.generate_private_key(65537, 2048)
        self._codes: dict[str, dict[str, str]] = {}
        handler = type("Handler", (_Handler,), {"provider": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def app(self, **settings: Any) -> dict[str, Any]:
        """As the portal's setting has it."""
        return {
            "id": "company", "name": "Company", "server": self.issuer,
            "client_id": CLIENT, "client_secret": SECRET, **settings,
        }  # fmt: skip

    def configuration(self) -> dict[str, Any]:
        issuer = "https://elsewhere.example" if self.fault == "another issuer" else self.issuer
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    def authorize(self, asked: dict[str, str]) -> str:
        """Where the browser goes next."""
        if self.fault == "denied":
            answer = {"error": "access_denied", "state": asked["state"]}
        else:
            code = secrets.token_hex(8)
            self._codes[code] = asked
            answer = {"code": code, "state": asked["state"]}
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def token(self, form: dict[str, str]) -> dict[str, Any] | None:
        """None: refused."""
        asked = self._codes.pop(form.get("code", ""), None)
        proof = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(proof).decode().rstrip("=")
        fits = asked and asked["code_challenge"] == challenge
        if not (fits and form["client_secret"] == SECRET and asked):
            return None
        answer = {"access_token": "access-canary", "token_type": "Bearer"}
        if self.fault != "no token":
            answer["id_token"] = self._signed()
        return answer

    def _signed(self) -> str:
        now = int(time.time())
        claims = self.claims | {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 60}
        if self.fault == "token of another issuer":
            claims["iss"] = "https://elsewhere.example"
        if self.fault == "token for another client":
            claims["aud"] = "another"
        if self.fault == "expired":
            claims["exp"] = now - 600
        if self.fault == "unsigned":
            return jwt.encode(claims, "", algorithm="none")
        if self.fault == "signed with the public key":
            return _signed_with_public_key(claims, self.key)
        key = self._other if self.fault == "wrong signature" else self.key
        return jwt.encode(claims, key, algorithm="RS256", headers={"kid": "one"})

    def userinfo(self) -> dict[str, Any]:
        return self.claims | ({"sub": "another"} if self.fault == "userinfo of another" else {})

    def keys(self) -> dict[str, Any]:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [public | {"kid": "one", "alg": "RS256", "use": "sig"}]}


def _signed_with_public_key(claims: dict[str, Any], key: rsa.RSAPrivateKey) -> str:
    """What a verifier takes that believes the token about its algorithm."""
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    header = {"kid": "one"}
    return jwt.encode(claims, public, algorithm="HS256", headers=header)


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        place, asked = urlsplit(self.path), parse_qs(urlsplit(self.path).query)
        if self.provider.fault == "down":
            self.send_error(503)
        elif place.path == "/authorize":
            self.send_response(302)
            first = {name: values[0] for name, values in asked.items()}
            self.send_header("Location", self.provider.authorize(first))
            self.end_headers()
        elif place.path == "/userinfo":
            self._answer(self.provider.userinfo())
        elif place.path == "/keys":
            self._answer(self.provider.keys())
        else:
            self._answer(self.provider.configuration())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        found = self.provider.token({k: v[0] for k, v in parse_qs(body).items()})
        if found is None or self.provider.fault == "down at the token":
            self.send_error(503)
        else:
            self._answer(found)

    def _answer(self, told: dict[str, Any]) -> None:
        body = json.dumps(told).encode()
        if self.provider.fault == "nonsense":
            body = b"<html>"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass
