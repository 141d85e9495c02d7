"""The portal as its operators run it: `manage.py serve`, one worker, a token for each request."""

import itertools
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import yaml
from cryptography.fernet import Fernet

from bench.client import Target
from bench.processes import ROOT, Child, free_port
from bench.scenarios import SCENARIOS, Scenario
from bench.stacks.base import CannotStartError, Running, Site, Stack, ready

# The registry's `limits` of each endpoint, where the portal's own would refuse 1,000 at once.
LIMITS: dict[str, Any] | None = None
USER = "bench"
PASSWORD_VARIABLE = "BENCH_PASSWORD"  # the name of a variable, which `create_user` reads


@dataclass(frozen=True)
class Portal:
    """A portal that was started, with a user's token."""

    child: Child
    port: int
    token: str

    @classmethod
    def start(
        cls,
        site: Site,
        name: str,
        registry: Mapping[str, Any],
        program: Sequence[str] = ("manage.py",),
        environment: Mapping[str, str] | None = None,
    ) -> Self:
        """One worker with its own folder and database, which a second start finds again."""
        directory = site.directory / name
        if not directory.exists():
            _prepare(site, directory, registry)
        port = free_port()
        child = Child.start(
            [sys.executable, *program, "serve", "--bind", f"127.0.0.1:{port}"],
            log=site.directory / f"{name}.log",
            environment={**_environment(site, directory), **(environment or {})},
        )
        return cls(child, port, (directory / "token").read_text())

    def target(self, path: str, size: int) -> Target:
        """What is at `path` below the exports."""
        return Target(
            self.port, f"/exports/{path}", size, {"Authorization": f"Bearer {self.token}"}
        )


class Spillway(Stack):
    """Everything of the portal is in the path: token, permission, the record in the database."""

    name = "spillway"
    about = "`manage.py serve --workers 1`"
    program: ClassVar[list[str]] = ["manage.py"]

    def start(self, site: Site) -> Running:
        portal = Portal.start(site, self.name, registry(site), self.program)

        def target(scenario: Scenario, size: int) -> Target:
            return portal.target(slug(scenario, size) + "/download" + self.query(), size)

        return ready(portal.child, portal.port, target)

    def query(self) -> str:
        """What follows the path."""
        return ""


class Fresh(Spillway):
    """The same, sending a version that it has never sent: SHA-256 is computed each time."""

    name = "fresh"
    about = "the same, of a version that was never sent before"
    variant: ClassVar[bool] = True

    def __init__(self) -> None:
        self._versions = itertools.count()

    def query(self) -> str:
        return f"?version={next(self._versions)}"


class Unhashed(Spillway):
    """The same without digests of what is sent: the difference is what they cost."""

    name = "unhashed"
    about = "the same, computing no digests"
    variant: ClassVar[bool] = True
    program: ClassVar[list[str]] = ["-m", "bench.sites.unhashed"]


def slug(scenario: Scenario, size: int) -> str:
    """Of the endpoint that leads to a body of `size` bytes, sent in this way."""
    return f"{scenario.name}-{size}"


def _manage(*arguments: str) -> list[str]:
    return [sys.executable, "manage.py", *arguments]


def _prepare(site: Site, directory: Path, registry: Mapping[str, Any]) -> None:
    """A database with the endpoints of `registry`, a user and a token."""
    draft = directory.with_suffix(".draft")
    draft.mkdir(mode=0o700)
    for name, value in (
        ("secret_key", secrets.token_urlsafe(48)),
        ("encryption_key", Fernet.generate_key().decode()),
        ("password", secrets.token_urlsafe(24)),
    ):
        (draft / name).write_text(value)
    file = draft / "registry.yaml"
    file.write_text(yaml.safe_dump(dict(registry)))
    environment = _environment(site, draft)
    _run(site, environment, "migrate", "--verbosity", "0")
    _run(site, environment, "apply", str(file))
    _run(site, environment, "create_user", USER, "--password-env", PASSWORD_VARIABLE)
    token = _run(site, environment, "create_token", USER).strip()
    (draft / "token").write_text(token)
    # Only what is whole bears the name that `start` looks for.
    draft.rename(directory)


def registry(site: Site) -> dict[str, Any]:
    """An endpoint for each way and size."""
    endpoints = [
        {
            "slug": slug(scenario, size),
            "title": slug(scenario, size),
            "kind": "http",
            "auth": "none",
            "groups": "*",
            "url": site.url(scenario) + scenario.path(size),
            **({"limits": LIMITS} if LIMITS else {}),
        }
        for scenario in SCENARIOS.values()
        for size in site.plan.sizes
    ]
    return {"version": 1, "endpoints": endpoints}


def _environment(site: Site, directory: Path) -> dict[str, str]:
    return {
        **site.trust,
        "DATABASE_URL": f"sqlite:///{directory / 'db.sqlite3'}",
        "SPILLWAY_STATE_DIR": str(directory),
        "SPILLWAY_SECRET_KEY": (directory / "secret_key").read_text(),
        "SPILLWAY_ENCRYPTION_KEYS": (directory / "encryption_key").read_text(),
        "SPILLWAY_ALLOWED_HOSTS": "127.0.0.1,localhost",
        "SPILLWAY_PRIVATE_ORIGINS": "127.0.0.0/8",
        # Downloads that still run at the end of a measurement are not waited for.
        "SPILLWAY_DRAIN_TIMEOUT": "1",
        PASSWORD_VARIABLE: (directory / "password").read_text(),
    }


def _run(site: Site, environment: dict[str, str], command: str, *arguments: str) -> str:
    """The command's standard output. Raises `CannotStartError`."""
    log = site.directory / "spillway.log"
    with log.open("a") as errors:
        try:
            done = subprocess.run(
                _manage(command, *arguments),
                cwd=ROOT,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                timeout=120,
                check=True,
            )
        except subprocess.CalledProcessError as exc:
            raise CannotStartError(f"`manage.py {command}` ended with {exc.returncode}") from exc
        except subprocess.TimeoutExpired as exc:
            raise CannotStartError(f"`manage.py {command}` did not end") from exc
    return done.stdout
