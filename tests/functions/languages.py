"""The two languages of the deployable handler, each with the runtime that AWS or we give it."""

import sys
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

needs_node = pytest.mark.skipif(
    not (NODEJS / "node_modules" / ".ready").exists(),
    reason="needs AWS's runtime client for Node.js, built by `make node`: that needs node and npm, "
    "cmake, autoconf, automake, libtool, make, g++ and xz",
)
