"""SimulatePrincipalPolicy of IAM: as the emulator judges, for as many resources as are asked about.

The emulator looks at the first resource alone, and simulates users and roles that are not there.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from urllib.parse import parse_qsl, urlencode
from xml.etree import ElementTree

from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from sandbox.emulator import Emulator, Scope
from sandbox.relay import UNASKED, passed, signed
from sandbox.signatures import scope_of

_SPACE = "https://iam.amazonaws.com/doc/2010-05-08/"
_RESOURCES = re.compile(r"ResourceArns\.member\.\d+")
_OWNER = re.compile(r"arn:[^:]+:iam::\d{12}:(user|role)/(?:.*/)?([^/]+)")


class Simulation:
    """Answers where it is asked for, and else leaves IAM to the emulator."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    async def serve(self, request: web.Request) -> web.Response:
        body = await request.read()
        asked = dict(parse_qsl(body.decode(), keep_blank_values=True))
        first = await self._send(body, signed(request.headers))
        if asked.get("Action") != "SimulatePrincipalPolicy" or first[0] == HTTPStatus.FORBIDDEN:
            return _response(*first)
        arn = asked.get("PolicySourceArn", "")
        if not await self._knows(request, arn):
            return _unknown(arn)
        # It takes a path for part of the name.
        kind, _, name = arn.partition("/")
        asked["PolicySourceArn"] = f"{kind}/{name.rpartition('/')[2]}"
        resources = [value for name, value in asked.items() if _RESOURCES.fullmatch(name)]
        rest = {name: value for name, value in asked.items() if not _RESOURCES.fullmatch(name)}
        answers = [
            (resource, await self._call(request, rest | {"ResourceArns.member.1": resource}))
            for resource in resources or ["*"]
        ]
        for _, (status, text) in answers:
            if status != HTTPStatus.OK:
                return _response(status, text)
        return _response(HTTPStatus.OK, _joined([(name, text) for name, (_, text) in answers]))

    async def _call(self, request: web.Request, asked: dict[str, str]) -> tuple[int, bytes]:
        """In the name of the account: the caller has signed another question."""
        headers = passed(request.headers)
        _, region, service = scope_of(request.headers) or ("", "", "iam")
        headers["Authorization"] = Scope(region).authorization(service)
        return await self._send(urlencode(asked).encode(), headers)

    async def _send(self, body: bytes, headers: CIMultiDict[str]) -> tuple[int, bytes]:
        headers.popall("Content-Length", None)
        async with self._emulator.http.post(
            URL(f"{self._emulator.url}/"),
            data=body,
            headers=headers,
            skip_auto_headers=UNASKED,
        ) as answer:
            return answer.status, await answer.read()

    async def _knows(self, request: web.Request, arn: str) -> bool:
        """Whether there is such a user or role, under that very path."""
        match = _OWNER.fullmatch(arn)
        if match is None:
            return False
        kind = match[1].capitalize()
        asked = {"Action": f"Get{kind}", "Version": "2010-05-08", f"{kind}Name": match[2]}
        status, text = await self._call(request, asked)
        return status == HTTPStatus.OK and f"<Arn>{arn}</Arn>".encode() in text


def _joined(answers: list[tuple[str, bytes]]) -> bytes:
    """One result for each action, with one of its own for each resource, as AWS tells them."""
    results: dict[str, list[tuple[str, str]]] = {}
    for resource, text in answers:
        for member in ElementTree.fromstring(text).iter(f"{{{_SPACE}}}member"):
            action = member.findtext(f"{{{_SPACE}}}EvalActionName")
            decision = member.findtext(f"{{{_SPACE}}}EvalDecision")
            if action and decision:
                results.setdefault(action, []).append((resource, decision))
    root = ElementTree.Element("SimulatePrincipalPolicyResponse", xmlns=_SPACE)
    result = ElementTree.SubElement(root, "SimulatePrincipalPolicyResult")
    found = ElementTree.SubElement(result, "EvaluationResults")
    for action, decided in results.items():
        _add(found, action, decided)
    ElementTree.SubElement(result, "IsTruncated").text = "false"
    return ElementTree.tostring(root)


def _add(found: ElementTree.Element, action: str, decided: list[tuple[str, str]]) -> None:
    member = ElementTree.SubElement(found, "member")
    ElementTree.SubElement(member, "EvalActionName").text = action
    ElementTree.SubElement(member, "EvalResourceName").text = decided[0][0]
    ElementTree.SubElement(member, "EvalDecision").text = decided[0][1]
    specific = ElementTree.SubElement(member, "ResourceSpecificResults")
    for resource, decision in decided:
        one = ElementTree.SubElement(specific, "member")
        ElementTree.SubElement(one, "EvalResourceName").text = resource
        ElementTree.SubElement(one, "EvalResourceDecision").text = decision


def _unknown(arn: str) -> web.Response:
    root = ElementTree.Element("ErrorResponse", xmlns=_SPACE)
    error = ElementTree.SubElement(root, "Error")
    ElementTree.SubElement(error, "Type").text = "Sender"
    ElementTree.SubElement(error, "Code").text = "NoSuchEntity"
    ElementTree.SubElement(error, "Message").text = f"The entity {arn} cannot be found."
    return _response(HTTPStatus.NOT_FOUND, ElementTree.tostring(root))


def _response(status: int, text: bytes) -> web.Response:
    return web.Response(status=status, body=text, content_type="text/xml")
