"""Credentials and addresses of AWS, found as boto3 finds them, for use outside of boto3.

Everything here may ask the instance's metadata, STS or a file, so that it runs in a thread.
"""

import asyncio
import time
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError

from streams.net.errors import AwsCredentialsError
from streams.net.signing import Keys

# Seconds for which keys are used without asking whether they are still good. botocore renews
# temporary ones a quarter of an hour before they expire.
FRESH = 60.0
_CONFIG = Config(
    connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2}, signature_version="s3v4"
)
# For STS and the like, by which credentials are found. Two of them (a role assumed by a role) and
# the call itself must fit into the lease of a rotation; botocore's defaults add up to minutes.
_CREDENTIALS = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 2})
# One attempt: who changes something must know of each call, and decides itself on another one.
_CONTROL = Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 1})


@dataclass
class _Held:
    keys: Keys
    until: float


@dataclass
class Account:
    """What this process may do in AWS, as itself and in the roles that it assumes."""

    _sessions: dict[str, Any] = field(default_factory=dict)
    _clients: dict[tuple[str, str, str, bool], Any] = field(default_factory=dict)
    _held: dict[str, _Held] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    async def keys(self, *, region: str, role_arn: str = "") -> Keys:
        """Keys that are good for the next minutes. Raises `AwsCredentialsError`."""
        held = self._held.get(role_arn)
        if held is None or held.until < time.monotonic():
            keys = await asyncio.to_thread(self._frozen, region, role_arn)
            held = self._held[role_arn] = _Held(keys, time.monotonic() + FRESH)
        return held.keys

    async def endpoint(self, service: str, *, region: str, role_arn: str = "") -> str:
        """The address of a service, as `AWS_ENDPOINT_URL_*`, a profile or the region has it."""
        client: Any = self._clients.get((service, region, role_arn, False))
        if client is None:
            client = await asyncio.to_thread(self._client, service, region, role_arn)
        return str(client.meta.endpoint_url)

    def controller(self, service: str, *, region: str, role_arn: str = "") -> Any:
        """A client that changes things; it blocks. Raises `AwsCredentialsError`."""
        return self._client(service, region, role_arn, _CONTROL)

    def _frozen(self, region: str, role_arn: str) -> Keys:
        def read() -> Keys:
            frozen = _credentials(self._session(region, role_arn)).get_frozen_credentials()
            return Keys(frozen.access_key, frozen.secret_key, frozen.token or "")

        keys: Keys = self._explained(read)
        return keys

    def _client(self, service: str, region: str, role_arn: str, config: Config = _CONFIG) -> Any:
        with self._lock:
            key = (service, region, role_arn, config is _CONTROL)
            if key not in self._clients:
                session = self._session(region, role_arn)
                # Kept without credentials, a client would never get any.
                self._explained(partial(_credentials, session))
                self._clients[key] = self._explained(
                    partial(session.create_client, service, region_name=region, config=config)
                )
            return self._clients[key]

    def _session(self, region: str, role_arn: str) -> Any:
        if role_arn not in self._sessions:
            session = _new_session()
            if role_arn:
                session._credentials = _assumed(session, region, role_arn)
            self._sessions[role_arn] = session
        return self._sessions[role_arn]

    @staticmethod
    def _explained(call: Any) -> Any:
        try:
            return call()
        except ClientError as exc:
            # The message may repeat what was sent; the code is from a list of AWS's.
            raise AwsCredentialsError(
                f"AWS does not let this portal assume its role ({aws_code(exc)})."
            ) from None
        except BotoCoreError as exc:
            raise AwsCredentialsError(
                f"This portal's AWS credentials cannot be used ({type(exc).__name__})."
            ) from None


def default_region() -> str:
    """The region that boto3 itself would use; empty where there is none."""
    return str(botocore.session.get_session().get_config_variable("region") or "")


def aws_code(exc: ClientError) -> str:
    """The error code of an AWS answer, such as `AccessDenied`."""
    return str(exc.response.get("Error", {}).get("Code", "unknown"))


def _new_session() -> Any:
    session: Any = botocore.session.get_session()
    session.set_default_client_config(_CREDENTIALS)
    return session


def _credentials(session: Any) -> Any:
    credentials = session.get_credentials()
    if credentials is None:
        raise AwsCredentialsError("This portal has no AWS credentials.")
    return credentials


def _assumed(session: Any, region: str, role_arn: str) -> Any:
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=partial(session.create_client, region_name=region),
        source_credentials=_credentials(_new_session()),
        role_arn=role_arn,
        extra_args={"RoleSessionName": "spillway"},
    )
    return DeferredRefreshableCredentials(
        refresh_using=fetcher.fetch_credentials, method="assume-role"
    )
