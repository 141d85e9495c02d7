"""`make demo`: the portal, a worker and the stand-in for AWS, with sample exports, until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import Template

from botocore.exceptions import ClientError

from functions import package
from sandbox.children import bound_to_parent
from sandbox.client import Sandbox, start
from sandbox.settings import MIB, Settings

ROOT = Path(__file__).resolve().parent.parent
STATE = Path(os.environ.get("SPILLWAY_STATE_DIR", ROOT / "var"))
REGISTRY = Path(__file__).with_name("demo.yaml")
HANDLER = ROOT / "functions" / "python"

PASSWORD = "spillway-demo"  # the demo listens on loopback alone
ORDERS = ("exports", "orders.csv")
ORDERS_SIZE = 200_000_000
ARCHIVE = "exports-generated/archive.bin"
ARCHIVE_SIZE = 5_000_000_000
LARGE = "exports-generated/large.bin"
LARGE_SIZE = 1_000_000_000
# The handler of each recipe that is a function.
RECIPES = {
    "pagination": "people.handler",
    "compression": "measurements.handler",
    "upload": "upload.handler",
}
# Changes spread within two seconds here. In AWS they do not: the defaults are for there.
QUICK = {
    "SPILLWAY_ROTATION_SETTLE": "4",
    "SPILLWAY_ROTATION_PROPAGATION": "4",
    # As everywhere, the drain is half a minute longer than the lease.
    "SPILLWAY_ROTATION_LEASE": "10",
    "SPILLWAY_ROTATION_DRAIN": "40",
    "SPILLWAY_TICK": "10",
}
# Fast enough not to bore, slow enough to see progress. AWS: 2 MiB a second.
BANDWIDTH = 20 * MIB


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    port = parser.parse_args().port
    if not _is_free(port):
        _say(f"Port {port} is taken. Try another one: make demo PORT=8123")
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    settings = Settings(
        port=_kept_port(STATE / "sandbox" / "port"),
        state=STATE / "sandbox",
        bandwidth=BANDWIDTH,
        generated={ARCHIVE: ARCHIVE_SIZE, LARGE: LARGE_SIZE},
    )
    try:
        with start(settings) as aws:
            return _serve(aws, port)
    except KeyboardInterrupt:
        return 0


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _kept_port(path: Path) -> int:
    """That of the earlier starts, so that no address in the registry changes, while it is free."""
    if path.exists() and _is_free(port := int(path.read_text())):
        return port
    port = _free_port()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(port))
    return port


def _serve(aws: Sandbox, port: int) -> int:
    _say("Putting a 200 MB object into S3 and deploying the handler …")
    held = _held_secret(aws, "orders-export")
    secret = held or secrets.token_urlsafe(32)
    _put_orders(aws)
    samples_secret = _kept_secret(STATE / "sandbox" / "samples_secret")
    container_port = _free_port()
    addresses = _exports(aws, secret, anew=held is None) | _samples(aws, samples_secret)
    addresses["container"] = f"http://127.0.0.1:{container_port}/"
    registry = _registry(addresses, anew=held is None)
    settings = aws.environment() | {
        "SPILLWAY_STATE_DIR": str(STATE),
        "SPILLWAY_PRIVATE_ORIGINS": "127.0.0.0/8",
        "SPILLWAY_DRAIN_TIMEOUT": "3",
        **QUICK,
    }
    _keep_settings(settings)
    environment = (
        os.environ
        | settings
        | {
            "DEMO_ORDERS_SECRET": secret,
            "DEMO_SAMPLES_SECRET": samples_secret,
            "DEMO_PASSWORD": PASSWORD,
        }
    )
    _say("Preparing the portal …")
    manage = _Manage(environment)
    manage("migrate", "--verbosity", "0")
    manage("apply", str(registry), quiet=True)
    for name, *options in (("ada", "--staff"), ("ben", "--group", "analysts")):
        manage("create_user", name, "--password-env", "DEMO_PASSWORD", *options, quiet=True)
    token = manage("create_token", "ben", "--name", "demo", "--expires", "1d", quiet=True).strip()
    with contextlib.ExitStack() as children:
        web = children.enter_context(manage.running("serve", "--bind", f"127.0.0.1:{port}"))
        worker = children.enter_context(
            manage.running("worker", "--with-scheduler", "--concurrency", "1")
        )
        container = children.enter_context(_container(aws, samples_secret, container_port))
        url = f"http://127.0.0.1:{port}"
        if not _answers(f"{url}/healthz", web):
            _say(f"The web server did not start. Its log is in {STATE}.")
            return 1
        _say(_welcome(url, token))
        return _watch({"web server": web, "worker": worker, "container": container})


def _keep_settings(settings: Mapping[str, str]) -> None:
    """For a shell beside the demo, whose commands are to act on it: `. var/demo.env`."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in settings.items()]
    (STATE / "demo.env").write_text("".join(lines), encoding="utf-8")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _put_orders(aws: Sandbox) -> None:
    bucket, key = ORDERS
    try:
        held = aws.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"]
    except ClientError:
        held = None
    if held != ORDERS_SIZE:
        aws.put_object(bucket, key, _orders(), ContentType="text/csv; charset=utf-8")


def _orders() -> bytes:
    """A CSV of exactly 200 MB, the same each time."""
    rows = [b"order,customer,country,amount,note\n"]
    size, number = len(rows[0]), 0
    filling = b"goods as ordered, " * 40
    while size < ORDERS_SIZE:
        number += 1
        row = b"%08d,C%06d,%b,%d.%02d," % (
            number,
            number * 7919 % 1_000_000,
            (b"DE", b"FR", b"IT", b"PL")[number % 4],
            number * 31 % 5000,
            number % 100,
        )
        row = (row + filling)[: ORDERS_SIZE - size - 1] + b"\n"
        rows.append(row)
        size += len(row)
    return b"".join(rows)


def _exists(aws: Sandbox, name: str) -> bool:
    try:
        aws.client("lambda").get_function_configuration(FunctionName=name)
    except ClientError:
        return False
    return True


def _held_secret(aws: Sandbox, name: str) -> str | None:
    """What the function checks since an earlier start; None where it or the database is new."""
    if not (STATE / "spillway.sqlite3").exists():
        return None
    try:
        answer = aws.client("lambda").get_function_configuration(FunctionName=name)
    except ClientError:
        return None
    return str(answer["Environment"]["Variables"]["SECRET_HEADER"])


def _exports(aws: Sandbox, secret: str, *, anew: bool) -> dict[str, str]:
    """Deploys the export of the orders, in every way that it can be had; the addresses.

    Unless `anew`, the variables of a function whose secret rotates stay as they are.
    """
    bucket, key = ORDERS
    where = {"EXPORT_BUCKET": bucket, "EXPORT_KEY": key}
    variables = where | {"SECRET_HEADER": secret} if anew else None
    orders = aws.deploy_function("orders-export", HANDLER, "app.handler", variables, timeout=900)
    signed = aws.deploy_function(
        "orders-signed", HANDLER, "app.export", where, url_auth="AWS_IAM", timeout=900
    )
    # Nothing leads to it yet: `manage.py provision` and *Add an endpoint* are tried with it.
    if not _exists(aws, "invoices-export"):
        aws.upload_function("invoices-export", HANDLER, "app.handler", where, timeout=900)
    gateway = aws.rest_api("orders", orders, "x-secret-header", secret, stream=True)
    return {
        "orders": orders,
        "signed": signed,
        "gateway": gateway.url,
        "gateway_api": gateway.api_id,
        "gateway_resource": gateway.resource_id,
        "archive": f"{aws.url}/{ARCHIVE}",
    }


def _samples(aws: Sandbox, secret: str) -> dict[str, str]:
    """Deploys the large file, and what `functions/recipes/` has; the addresses."""
    bucket, _, key = LARGE.partition("/")
    large = {"EXPORT_BUCKET": bucket, "EXPORT_KEY": key, "SECRET_HEADER": secret}
    addresses = {
        "large": aws.deploy_function("archive-export", HANDLER, "app.handler", large, timeout=900)
    }
    variables = {"SECRET_HEADER": secret, "UPLOAD_BUCKET": ORDERS[0]}
    for name, handler in RECIPES.items():
        code = package.recipe(name)
        addresses[name] = aws.deploy_function(name, code, handler, variables, timeout=900)
    return addresses


def _registry(addresses: Mapping[str, str], *, anew: bool) -> Path:
    """Writes the registry file with the addresses of what was deployed.

    Unless `anew`, the portal may have rotated its secret, or be about to: what it has is right.
    """
    path = STATE / "sandbox" / "demo.yaml"
    text = REGISTRY.read_text(encoding="utf-8")
    if not anew:
        text = text.replace("    value_from_env: DEMO_ORDERS_SECRET\n", "")
    path.write_text(Template(text).substitute(addresses), encoding="utf-8")
    return path


@contextlib.contextmanager
def _container(aws: Sandbox, secret: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """What the image of `functions/recipes/container/` runs, without an image."""
    bucket, key = ORDERS
    variables = {
        "PYTHONPATH": str(HANDLER),
        "EXPORT_BUCKET": bucket,
        "EXPORT_KEY": key,
        "SECRET_HEADER": secret,
        # The sandbox's folder is how the tests know which processes are the demo's.
        "SPILLWAY_STATE_DIR": str(STATE),
    }
    command = [sys.executable, "-m", "spillway_lambda.server", "app.handler"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | aws.environment() | variables
    with _running("container", command, environment) as process:
        yield process


def _kept_secret(path: Path) -> str:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
    return path.read_text()


class _Manage:
    """Runs `manage.py` as an operator would."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, str(ROOT / "manage.py"), *words]

    def __call__(self, *words: str, quiet: bool = False) -> str:
        done = subprocess.run(
            self._command(*words),
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if quiet else None,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{words[0]} failed:\n{done.stdout}{done.stderr or ''}")
        return done.stdout

    def running(self, *words: str) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        return _running(words[0], self._command(*words), self._environment)


@contextlib.contextmanager
def _running(
    name: str, command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A server of ours; its log goes to a file, and Ctrl-C reaches it through us alone."""
    log = (STATE / f"{name}.log").open("ab")
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        preexec_fn=bound_to_parent(signal.SIGTERM),  # noqa: PLW1509 - no thread runs yet
    )
    try:
        yield process
    finally:
        _end(process)
        log.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    for _ in range(300):
        if process.poll() is not None:
            return False
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(url, timeout=2).close()
            return True
        time.sleep(0.1)
    return False


def _watch(processes: Mapping[str, subprocess.Popen[bytes]]) -> int:
    while True:
        for name, process in processes.items():
            if process.poll() is not None:
                _say(f"The {name} has ended. Its log is in {STATE}.")
                return 1
        time.sleep(0.5)


def _welcome(url: str, token: str) -> str:
    return f"""
  Spillway is ready:  {url}/

    end user   ben / {PASSWORD}    sees the exports
    operator   ada / {PASSWORD}    sees them too, and {url}/operate/

  From the command line, 200 MB from a Lambda function:

    curl --fail --continue-at - --output orders.csv \\
      --header 'Authorization: Bearer {token}' {url}/exports/orders/download

  Commands of another terminal act on this portal after:  . {STATE / "demo.env"}
  docs/tutorial.md goes on from here. Logs are in {STATE}. Ctrl-C ends everything.
"""


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
