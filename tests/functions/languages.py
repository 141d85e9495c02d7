"""The two languages of the deployable handler, each with the runtime that AWS or we give it."""

import io
import shlex
import sys
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).resolve().parents[2] / "functions"
NODEJS = FUNCTIONS / "nodejs"
# AWS's own runtime client, the one of its managed runtimes.
RUNTIME_CLIENT = NODEJS / "node_modules" / "aws-lambda-ric"


@dataclass(frozen=True)
class Language:
    """How the handler `app.handler` of one language is run."""

    root: Path
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


def node() -> str:
    """The Node.js that functions/nodejs is tested with, which its lock names."""
    found = sorted((NODEJS / "node_modules").glob("node-linux-*/bin/node"))
    return str(found[0]) if found else "node"


PYTHON = Language(
    root=FUNCTIONS / "python", command=(sys.executable, "-m", "spillway_lambda.runtime")
)
NODE = Language(
    root=NODEJS,
    command=(node(), str(RUNTIME_CLIENT / "index.mjs")),
    # What Lambda sets and AWS's client wants, where ours does without.
    environment={
        "AWS_REGION": "eu-central-1",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/export",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/02/[7]1",
    },
)


def in_place(language: Language) -> bytes:
    """A deployment package that runs the handler where it stands, beside its SDK."""
    lines = ["#!/bin/sh", f"export LAMBDA_TASK_ROOT={shlex.quote(str(language.root))}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in language.environment.items()]
    lines += ['cd "$LAMBDA_TASK_ROOT"', f'exec {shlex.join(language.command)} "$_HANDLER"']
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, "\n".join([*lines, ""]))
    return packed.getvalue()


needs_node = pytest.mark.skipif(
    not (NODEJS / "node_modules" / ".ready").exists(),
    reason="needs AWS's runtime client for Node.js, built by `make node`: that needs node and npm, "
    "cmake, autoconf, automake, libtool, make, g++ and xz",
)
