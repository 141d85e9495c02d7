"""The two Django peers: gunicorn with one process of threads."""

import importlib.util
import sys
from typing import ClassVar

from bench.client import Target
from bench.processes import Child, free_port
from bench.scenarios import SCENARIOS, Scenario
from bench.stacks.base import CannotStartError, Running, Site, Stack, ready


class Gunicorn(Stack):
    """A WSGI application of `bench.sites`."""

    site_module: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]

    def start(self, site: Site) -> Running:
        for package in ("gunicorn", *self.needs):
            if importlib.util.find_spec(package) is None:
                raise CannotStartError(f"{package} is not installed")
        port = free_port()
        child = Child.start(
            [
                *(sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}"),
                *("--workers", "1", "--worker-class", "gthread"),
                *("--threads", str(site.plan.gunicorn_threads)),
                *("--no-control-socket", "--log-level", "warning"),
                f"{self.site_module}:application",
            ],
            log=site.directory / f"{self.name}.log",
            environment={
                **site.trust,
                "BENCH_ORIGIN_PLAIN": site.url(SCENARIOS["plain-length"]),
                "BENCH_ORIGIN_TLS": site.url(SCENARIOS["tls-length"]),
            },
        )

        def target(scenario: Scenario, size: int) -> Target:
            return Target(port, f"/{scenario.scheme}{scenario.path(size)}", size)

        return ready(child, port, target)


class Revproxy(Gunicorn):
    """The library that one finds first."""

    name = "revproxy"
    about = "django-revproxy under gunicorn, threads"
    site_module = "bench.sites.revproxy"
    needs = ("revproxy",)


class Requests(Gunicorn):
    """What one writes first."""

    name = "requests"
    about = "`requests.get(stream=True)` and `iter_content(8192)` under gunicorn, threads"
    site_module = "bench.sites.requests"
    needs = ("requests",)
