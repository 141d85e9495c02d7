"""A minimal custom runtime, and the functions that the tests deploy with it.

Written from AWS's description of the Runtime API alone, on the standard library: an independent
check of the sandbox, and of the larger runtime that ships with the product.
"""

import base64
import http.client
import json
import os
import pathlib
import signal
import sys
import time
from typing import Any

API = os.environ["AWS_LAMBDA_RUNTIME_API"]
PREFIX = "/2018-06-01/runtime"
NULS = b"\0" * 8

Event = dict[str, Any]


class Response:
    """One streaming POST of a response, chunk by chunk."""

    def __init__(self, request_id: str, content_type: str) -> None:
        self.request_id = request_id
        self.connection = http.client.HTTPConnection(API, timeout=60)
        self.connection.putrequest("POST", f"{PREFIX}/invocation/{request_id}/response")
        self.connection.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
        self.connection.putheader("Transfer-Encoding", "chunked")
        self.connection.putheader(
            "Trailer", "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
        )
        self.connection.putheader("Content-Type", content_type)
        self.connection.endheaders()

    def write(self, data: bytes) -> None:
        self.connection.send(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self, error: str | None = None) -> int:
        trailers = b""
        if error:
            body = base64.b64encode(json.dumps({"errorMessage": error}).encode())
            trailers = (
                b"Lambda-Runtime-Function-Error-Type: Runtime.StreamError\r\n"
                b"Lambda-Runtime-Function-Error-Body: " + body + b"\r\n"
            )
        self.connection.send(b"0\r\n" + trailers + b"\r\n")
        status = self.connection.getresponse().status
        self.connection.close()
        return status


def prelude(**metadata: Any) -> bytes:
    return json.dumps({"statusCode": 200, "headers": {}, **metadata}).encode()


def echo(event: Event, response: Response) -> None:
    """Status, headers and cookies of the metadata, and the event as the body."""
    response.write(
        prelude(
            statusCode=206,
            headers={"Content-Type": "application/json", "X-Custom": "yes", "Connection": "x"},
            cookies=["a=1; Path=/", "b=2"],
        )
        + NULS
    )
    response.write(
        json.dumps({"event": event, "env": dict(os.environ), "pid": os.getpid()}).encode()
    )


def split(event: Event, response: Response) -> None:
    """Prelude and NULs in pieces."""
    whole = prelude(headers={"X-Split": "yes"}) + NULS + b"body"
    for index in range(len(whole)):
        response.write(whole[index : index + 1])


def bulk(event: Event, response: Response) -> None:
    """`size` bytes in pieces of 64 KiB, with a Content-Length if `length` is asked for."""
    query = event.get("queryStringParameters", event)
    size = int(query["size"])
    headers = {"Content-Length": query["length"]} if "length" in query else {}
    response.write(prelude(headers=headers) + NULS)
    piece = bytes(range(256)) * 256
    while size > 0:
        response.write(piece[:size])
        size -= len(piece)
    pathlib.Path(os.environ.get("MARK", os.devnull)).write_text("written")


def midway(event: Event, response: Response) -> str:
    """Half a body, then what `how` says: die, hang, or an error in the trailers."""
    query = event.get("queryStringParameters", event)
    response.write(
        prelude(headers={k: v for k, v in query.items() if k == "Content-Length"}) + NULS
    )
    response.write(b"half a body")
    # Long enough for it to be on its way alone.
    time.sleep(0.3)
    if query["how"] == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if query["how"] == "hang":
        time.sleep(600)
    return "the rest was lost"


GARBAGE = {
    "no metadata": b"just a body",
    "endless metadata": b" " * 100_000,
    "not json": b"{" + NULS,
    "not an object": b"[]" + NULS,
    "no such status": b'{"statusCode": 9999}' + NULS,
    "a header of two lines": b'{"headers": {"X": "a\\r\\nSet-Cookie: b"}}' + NULS,
    "cookies of another kind": b'{"cookies": 3}' + NULS,
}


def garbage(event: Event, response: Response) -> None:
    response.write(GARBAGE[os.environ["GARBAGE"]])


def bad_chunk(event: Event, response: Response) -> str:
    """A chunk whose size is none."""
    response.write(prelude() + NULS + b"begun")
    response.connection.send(b"xyz\r\n")
    time.sleep(1)
    return "unreached by anybody"


def twice(event: Event, response: Response) -> None:
    """What the Runtime API refuses: an unknown id, an error midway, a second response."""
    response.write(prelude() + NULS)
    time.sleep(0.1)
    paths = ["other/response", f"{response.request_id}/error", f"{response.request_id}/response"]
    statuses = [call(f"/invocation/{path}", "{}")[0].status for path in paths]
    response.write(json.dumps(statuses).encode())


def hang(event: Event, response: Response) -> None:
    time.sleep(600)


def secret(event: Event, response: Response) -> None:
    """The original handler: one value in a header, or 403."""
    good = event["headers"].get("x-secret-header") == os.environ["SECRET_HEADER"]
    response.write(prelude(statusCode=200 if good else 403) + NULS)
    response.write(
        json.dumps({"value": os.environ["SECRET_HEADER"], "headers": event["headers"]}).encode()
    )


def slow(event: Event, response: Response) -> None:
    time.sleep(float(event.get("queryStringParameters", event)["seconds"]))
    response.write(prelude() + NULS + str(os.getpid()).encode())


def s3(event: Event, response: Response) -> None:
    """An object of S3 as the response."""
    import boto3

    body = boto3.client("s3").get_object(Bucket="exports", Key="export.bin")["Body"]
    response.write(prelude(headers={"Content-Type": "application/octet-stream"}) + NULS)
    while piece := body.read(1 << 18):
        response.write(piece)


def place(event: Event, response: Response) -> None:
    """Where an object is, instead of the object."""
    response.write(prelude(headers={"Content-Type": "application/json"}) + NULS)
    response.write(os.environ["PLACE"].encode())


def call(
    path: str, body: str | None = None, headers: dict[str, str] | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(API)
    connection.request("POST" if body is not None else "GET", PREFIX + path, body, headers or {})
    answer = connection.getresponse()
    read = answer.read()
    connection.close()
    return answer, read


def main() -> None:
    name = os.environ["_HANDLER"]
    if name == "broken.init":
        report = json.dumps({"errorMessage": "no such module", "errorType": "ImportError"})
        call("/init/error", report, {"Lambda-Runtime-Function-Error-Type": "Runtime.ImportError"})
        sys.exit(1)
    while True:
        answer, body = call("/invocation/next")
        request_id = answer.headers["Lambda-Runtime-Aws-Request-Id"]
        event = json.loads(body)
        if name == "returns.json":
            reply = {
                "statusCode": 201,
                "headers": {"X-Whole": "yes"},
                "body": "aGk=",
                "isBase64Encoded": True,
            }
            call(f"/invocation/{request_id}/response", json.dumps(reply))
        elif name == "returns.much":
            print("posting", flush=True)
            answer, _ = call(f"/invocation/{request_id}/response", "x" * (7 << 20))
            print("Http response code:", answer.status, flush=True)
        elif name == "fails.first":
            report = json.dumps({"errorMessage": "told you", "errorType": "ValueError"})
            kind = {"Lambda-Runtime-Function-Error-Type": "Runtime.HandlerError"}
            call(f"/invocation/{request_id}/error", report, kind)
        elif name == "plain.stream":
            response = Response(request_id, "text/plain")
            response.write(b"no metadata")
            response.end()
        elif name == "hang.first":
            time.sleep(600)
        else:
            response = Response(request_id, "application/vnd.awslambda.http-integration-response")
            try:
                error = globals()[name](event, response)
                print("ended with", response.end(error), flush=True)
            except OSError as exc:
                print("broken:", exc, flush=True)


if __name__ == "__main__":
    main()
