"""Stands between boto3 and the stand-in for AWS: writes down each call, and has some go wrong."""

import http.client
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


class Fault(StrEnum):
    """What becomes of one call."""

    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"
    REPLY_LOST = "reply lost"
    THROTTLED = "throttled"
    CONFLICT = "conflict"
    PRECONDITION = "precondition failed"
    SERVER_ERROR = "server error"
    HANG = "hang"
    DENIED = "denied"


# Method and path, and the operation of which service they are.
_OPERATIONS: list[tuple[str, str, str, str]] = [
    ("GET", r"/2015-03-31/functions/[^/]+/configuration", "lambda", "GetFunctionConfiguration"),
    ("PUT", r"/2015-03-31/functions/[^/]+/configuration", "lambda", "UpdateFunctionConfiguration"),
    ("POST", r"/2015-03-31/functions/[^/]+/versions", "lambda", "PublishVersion"),
    ("GET", r"/2015-03-31/functions/[^/]+/aliases/[^/]+", "lambda", "GetAlias"),
    ("PUT", r"/2015-03-31/functions/[^/]+/aliases/[^/]+", "lambda", "UpdateAlias"),
    ("GET", r"/2021-10-31/functions/[^/]+/url", "lambda", "GetFunctionUrlConfig"),
    ("POST", r"/2021-10-31/functions/[^/]+/url", "lambda", "CreateFunctionUrlConfig"),
    ("GET", r"/2015-03-31/functions/[^/]+/policy", "lambda", "GetPolicy"),
    ("POST", r"/2015-03-31/functions/[^/]+/policy", "lambda", "AddPermission"),
    ("DELETE", r"/2015-03-31/functions/[^/]+/policy/[^/]+", "lambda", "RemovePermission"),
    ("GET", r"/restapis/[^/]+/resources/.*/integration", "apigateway", "GetIntegration"),
    ("PATCH", r"/restapis/[^/]+/resources/.*/integration", "apigateway", "UpdateIntegration"),
    ("POST", r"/restapis/[^/]+/deployments", "apigateway", "CreateDeployment"),
    ("GET", r"/restapis/[^/]+/stages/[^/]+", "apigateway", "GetStage"),
    ("PATCH", r"/restapis/[^/]+/stages/[^/]+", "apigateway", "UpdateStage"),
    ("GET", r"/restapis/[^/]+/stages/[^/]+/exports/.*", "apigateway", "GetExport"),
    ("GET", r"/restapis/[^/]+/resources", "apigateway", "GetResources"),
    ("GET", r"/restapis/[^/]+/resources/[^/]+", "apigateway", "GetResource"),
    ("GET", r"/v2/apis/[^/]+/integrations/[^/]+", "apigatewayv2", "GetIntegration"),
    ("PATCH", r"/v2/apis/[^/]+/integrations/[^/]+", "apigatewayv2", "UpdateIntegration"),
    ("POST", r"/v2/apis/[^/]+/deployments", "apigatewayv2", "CreateDeployment"),
    ("GET", r"/v2/apis/[^/]+/stages/[^/]+", "apigatewayv2", "GetStage"),
    ("PATCH", r"/v2/apis/[^/]+/stages/[^/]+", "apigatewayv2", "UpdateStage"),
    ("GET", r"/v2/apis/[^/]+/exports/.*", "apigatewayv2", "ExportApi"),
]


@dataclass
class Call:
    """One call of the control plane. `status` is 0 where no answer came back."""

    method: str
    path: str
    service: str
    operation: str
    body: bytes = field(repr=False)
    # The access key that signed it.
    key: str = ""
    at: float = field(default_factory=time.monotonic)
    reached: bool = False
    status: int = 0

    @property
    def name(self) -> str:
        return f"{self.service}:{self.operation}"

    @property
    def changes(self) -> bool:
        # STS is asked by POST who is asking, and Secrets Manager everything.
        asks = b"Action=GetCallerIdentity" in self.body
        return self.method != "GET" and not asks and not self.operation.startswith(("Get", "Desc"))


@dataclass
class _Planned:
    """`left` calls of that name until the fault."""

    name: str
    left: int
    fault: Fault


class Proxy:
    """`url` is boto3's endpoint. Faults come to the nth call of an operation, such as
    `lambda:UpdateFunctionConfiguration`; `on_kill` ends the process that made it.

    What hangs is reset after `hang` seconds, unless its client gives up before. While `updating`,
    each function says that it is still being updated.
    """

    def __init__(self, target: str, on_kill: Callable[[], None], *, hang: float = 1.0) -> None:
        self.target = urlsplit(target)
        self.on_kill = on_kill
        self.hang = hang
        self.updating = False
        self.calls: list[Call] = []
        self.injected: list[tuple[str, Fault]] = []
        self._planned: list[_Planned] = []
        self._lock = threading.Lock()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def fail(self, name: str, fault: Fault, *, nth: int = 1) -> None:
        """The nth call from now on goes wrong; what is denied is denied until `allow`."""
        self._planned.append(_Planned(name, nth, fault))

    def allow(self) -> None:
        self._planned.clear()

    def fault_of(self, call: Call) -> Fault | None:
        """Writes the call down, and says what is to become of it."""
        with self._lock:
            self.calls.append(call)
            for planned in self._planned:
                if planned.name != call.name:
                    continue
                planned.left -= 1
                if planned.left == 0 or (planned.left < 0 and planned.fault is Fault.DENIED):
                    self.injected.append((call.name, planned.fault))
                    return planned.fault
        return None

    def changes(self) -> list[Call]:
        """The calls that reached AWS and may have changed something, in their order."""
        return [call for call in self.calls if call.changes and call.reached]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def named(method: str, path: str, target: str = "") -> tuple[str, str]:
    """The service and operation of a request; both `other` for what is none of those above."""
    if target.startswith("secretsmanager."):
        return "secretsmanager", target.rpartition(".")[2]
    for wanted, pattern, service, operation in _OPERATIONS:
        if method == wanted and re.fullmatch(pattern, path.partition("?")[0]):
            return service, operation
    return "other", "other"


# Seconds after which what is throttled may come again; longer than a rotation waits by itself.
LATER = 3


def _refusal(fault: Fault, call: Call) -> tuple[int, str, dict[str, str]]:
    """Status, error code and fields, as each service words them."""
    if call.service == "secretsmanager":
        status, code = _OF_SECRETS_MANAGER[fault]
        return status, code, {"Retry-After": str(LATER)} if fault is Fault.THROTTLED else {}
    gateway = call.service != "lambda"
    match fault:
        case Fault.THROTTLED:
            return 429, "TooManyRequestsException", {"Retry-After": str(LATER)}
        case Fault.CONFLICT:
            return 409, "ConflictException" if gateway else "ResourceConflictException", {}
        case Fault.PRECONDITION:
            return 412, "PreconditionFailedException", {}
        case Fault.DENIED:
            return 403, "AccessDeniedException", {}
    return 500, "InternalServerErrorException" if gateway else "ServiceException", {}


_OF_SECRETS_MANAGER = {
    Fault.THROTTLED: (400, "ThrottlingException"),
    Fault.CONFLICT: (400, "ResourceExistsException"),
    # What it answers where a label is no longer where it was read.
    Fault.PRECONDITION: (400, "InvalidParameterException"),
    Fault.SERVER_ERROR: (500, "InternalServiceError"),
    Fault.DENIED: (400, "AccessDeniedException"),
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: Proxy) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy = proxy


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Nothing: the calls are in `proxy.calls`."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        proxy = self.server.proxy
        signed = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization") or "")
        call = Call(
            self.command,
            self.path,
            *named(self.command, self.path, self.headers.get("X-Amz-Target") or ""),
            body,
            key=signed[1] if signed else "",
        )
        fault = proxy.fault_of(call)
        if fault is Fault.KILLED_BEFORE:
            proxy.on_kill()
            self._drop()
        elif fault is Fault.HANG:
            time.sleep(proxy.hang)
            self._drop()
        elif fault in {None, Fault.KILLED_AFTER, Fault.REPLY_LOST}:
            self._pass(call, fault)
        else:
            self._refuse(call, fault)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def _pass(self, call: Call, fault: Fault | None) -> None:
        proxy = self.server.proxy
        upstream = http.client.HTTPConnection(
            str(proxy.target.hostname), proxy.target.port, timeout=60
        )
        upstream.request(call.method, call.path, call.body, dict(self.headers))
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        call.reached = True
        if fault is not None:
            if fault is Fault.KILLED_AFTER:
                proxy.on_kill()
            self._drop()
            return
        if proxy.updating and call.operation == "GetFunctionConfiguration":
            content = json.dumps(json.loads(content) | {"LastUpdateStatus": "InProgress"}).encode()
        kept = [pair for pair in answer.getheaders() if pair[0].lower() not in _HOP]
        self._answer(call, answer.status, kept, content)

    def _refuse(self, call: Call, fault: Fault) -> None:
        status, code, fields = _refusal(fault, call)
        # AWS's own messages may repeat what was sent.
        text = f"{code} for {call.body.decode(errors='replace')}"
        said = {"message": text, "Type": "User", "__type": code}
        pairs = [("x-amzn-ErrorType", code), ("Content-Type", "application/json")]
        self._answer(call, status, [*pairs, *fields.items()], json.dumps(said).encode())

    def _answer(
        self, call: Call, status: int, fields: list[tuple[str, str]], content: bytes
    ) -> None:
        call.status = status
        self.send_response_only(status)
        for name, value in fields:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _drop(self) -> None:
        """Ends the connection with RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
        self.rfile = self.wfile = _Closed()  # type: ignore[assignment]


_HOP = {"content-length", "transfer-encoding", "connection", "date", "server"}


class _Closed:
    """What is left of a connection's files."""

    closed = True

    def flush(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """It is."""
