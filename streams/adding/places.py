"""What a pasted address names: a function, a gateway's path, an object, any URL. Pure."""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

_FUNCTION = re.compile(
    r"arn:aws[a-z-]*:lambda:(?P<region>[a-z0-9-]+):\d{12}:function:[A-Za-z0-9_-]{1,64}"
    r"(:(?P<alias>[A-Za-z0-9_-]{1,128}))?"
)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}(:(?P<alias>[A-Za-z0-9_-]{1,128}))?")
_OBJECT = re.compile(r"arn:aws[a-z-]*:s3:::(?P<bucket>[^/]+)/(?P<key>.+)")
_FUNCTION_HOST = re.compile(r"[a-z0-9]+\.lambda-url\.(?P<region>[a-z0-9-]+)\.on\.aws")
_GATEWAY_HOST = re.compile(
    r"(?P<api>[a-z0-9]+)\.execute-api\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?"
)
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
_S3_HOST = re.compile(
    r"((?P<bucket>[a-z0-9][a-z0-9.-]+)\.)?s3[.-](dualstack\.)?((?P<region>[a-z0-9-]+)\.)?amazonaws\.com"
)


class UnknownPlaceError(Exception):
    """It names nothing that this portal could fetch; says what it expects."""


@dataclass(frozen=True)
class Place:
    """`kind` is that of an endpoint. What the address does not tell is empty.

    `function` is a name or an ARN, without `alias`. `host` is that of an API of API Gateway:
    `api_id`, and the first part of the path, which may be its stage.
    """

    kind: str
    url: str = ""
    function: str = ""
    alias: str = ""
    bucket: str = ""
    key: str = ""
    region: str = ""
    api_id: str = ""
    stage: str = ""
    path: str = ""


def parse(text: str, kind: str) -> Place:
    """`kind` is what the operator takes it for, and decides where the address does not.

    Raises `UnknownPlaceError`.
    """
    text = text.strip()
    if text.startswith("arn:"):
        return _of_arn(text, kind)
    if text.startswith("s3://"):
        bucket, _, key = text.removeprefix("s3://").partition("/")
        if not bucket or not key:
            raise UnknownPlaceError("Name the object too: s3://bucket/key.")
        return Place("s3", bucket=bucket, key=key)
    if text.startswith(("http://", "https://")):
        return _of_url(text, kind)
    if kind in {"lambda", "function-url"} and (named := _NAME.fullmatch(text)):
        return _function(text, named["alias"], "", kind)
    raise UnknownPlaceError(
        "Paste an ARN, a function's name, an address that begins with https://, or s3://bucket/key."
    )


def _of_arn(text: str, kind: str) -> Place:
    if found := _FUNCTION.fullmatch(text):
        return _function(text, found["alias"], found["region"], kind)
    if found := _OBJECT.fullmatch(text):
        return Place("s3", bucket=found["bucket"], key=found["key"])
    raise UnknownPlaceError("Of ARNs, those of Lambda functions and of S3 objects can be fetched.")


def _function(text: str, alias: str | None, region: str, kind: str) -> Place:
    name = text.removesuffix(f":{alias}") if alias else text
    taken = kind if kind in {"lambda", "function-url"} else "function-url"
    return Place(taken, function=name, alias=alias or "", region=region)


def _of_url(text: str, kind: str) -> Place:
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        raise UnknownPlaceError("This is not an address.") from None
    if not host:
        raise UnknownPlaceError("This address names no host.")
    if found := _FUNCTION_HOST.fullmatch(host):
        return Place("function-url", url=text, region=found["region"])
    if found := _GATEWAY_HOST.fullmatch(host):
        return _gateway(text, parts, found["api"], found["region"])
    if (found := _S3_HOST.fullmatch(host)) and (held := _object(parts, found["bucket"])):
        return Place("s3", bucket=held[0], key=held[1], region=found["region"] or "")
    if kind == "s3":
        raise UnknownPlaceError("Name an object of S3 as s3://bucket/key.")
    if kind == "lambda":
        raise UnknownPlaceError("A function that is invoked directly goes by its name or ARN.")
    return Place(kind, url=text)


def _gateway(text: str, parts: SplitResult, api: str, region: str) -> Place:
    first, _, rest = parts.path.lstrip("/").partition("/")
    return Place("gateway", url=text, region=region, api_id=api, stage=first, path=f"/{rest}")


def _object(parts: SplitResult, bucket: str | None) -> tuple[str, str] | None:
    path = unquote(parts.path.lstrip("/"))
    if not bucket:
        bucket, _, path = path.partition("/")
    return (bucket, path) if bucket and path else None
