"""Keys of KMS: whether one can be used, and by whom. The emulator's S3 and Lambda do not ask."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

from sandbox.emulator import Emulator, Scope
from sandbox.settings import ACCOUNT

_SPACE = "{https://iam.amazonaws.com/doc/2010-05-08/}"


class Keys:
    """Asks the emulator's KMS and IAM, in the name of the account."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    async def is_disabled(self, scope: Scope, key: str) -> bool:
        """False for a key that there is not: AWS's own keys are not kept here."""
        answer = await self._emulator.ask(
            "kms", "DescribeKey", {"KeyId": key}, scope, prefix="TrentService"
        )
        return answer.ok and answer.json()["KeyMetadata"]["KeyState"] == "Disabled"

    async def may_decrypt(self, scope: Scope, caller: str, key: str) -> bool:
        """Whether the policies of the user with this access key allow it. The account may."""
        user = (await self._iam(scope, "GetAccessKeyLastUsed", AccessKeyId=caller)).get("UserName")
        if not user:
            return True
        told = await self._iam(
            scope, "SimulatePrincipalPolicy",
            **{
                "PolicySourceArn": f"arn:aws:iam::{ACCOUNT}:user/{user}",
                "ActionNames.member.1": "kms:Decrypt", "ResourceArns.member.1": key,
            },
        )  # fmt: skip
        return bool(told.get("EvalDecision") == "allowed")

    async def _iam(self, scope: Scope, action: str, **asked: str) -> dict[str, Any]:
        """The texts of the answer, by their names; empty where IAM refuses."""
        async with self._emulator.http.post(
            self._emulator.url,
            data=urlencode({"Action": action, "Version": "2010-05-08", **asked}),
            headers={
                "Authorization": scope.authorization("iam"),
                "Content-Type": "application/x-www-form-urlencoded",
            },
        ) as answer:
            if not answer.ok:
                return {}
            found = ElementTree.fromstring(await answer.read())
        return {one.tag.removeprefix(_SPACE): one.text for one in found.iter()}
