"""The portal with nginx in front, which carries the downloads: `deploy/nginx-offload.conf`."""

import re
from pathlib import Path
from typing import ClassVar

from bench.client import Target
from bench.processes import ROOT, Child, free_port
from bench.scenarios import SCENARIOS, Scenario
from bench.stacks.base import CannotStartError, Running, Site, Stack, ready
from bench.stacks.nginx import executable
from bench.stacks.spillway import Portal, registry, slug

KEY = "bench-" + "k" * 32


class Offload(Stack):
    """The portal permits and records; of each file it sends the first download itself."""

    name = "offload"
    about = "`SPILLWAY_OFFLOAD=nginx`: nginx carries what has a length and an entity tag"
    variant: ClassVar[bool] = True

    def start(self, site: Site) -> Running:
        program = executable()
        if program is None:
            raise CannotStartError("nginx is not installed")
        endpoints = registry(site)
        for endpoint, scenario in zip(
            endpoints["endpoints"],
            (scenario for scenario in SCENARIOS.values() for _ in site.plan.sizes),
            strict=True,
        ):
            endpoint["delivery"] = "offload"
            if scenario.tls:
                # nginx compares no address with a certificate's.
                endpoint["url"] = endpoint["url"].replace("127.0.0.1", "localhost")
        keys = {"SPILLWAY_OFFLOAD": "nginx", "SPILLWAY_OFFLOAD_KEY": KEY}
        portal = Portal.start(site, self.name, endpoints, environment=keys)
        port = free_port()
        nginx = Child.start(
            [program, "-c", _configuration(site, portal.port, port), "-p", site.directory],
            log=site.directory / f"{self.name}.log",
        )

        def target(scenario: Scenario, size: int) -> Target:
            through = portal.target(f"{slug(scenario, size)}/download", size)
            return Target(port, through.path, size, through.headers)

        try:
            ready(portal.child, portal.port, target)
            return ready(nginx, port, target, beside=[portal.child])
        except BaseException:
            nginx.stop()
            portal.child.stop()
            raise


def _configuration(site: Site, portal: int, port: int) -> Path:
    """What is deployed, on one port of loopback, with the origin's authority and no log."""
    directory = site.directory / "offload-nginx"
    directory.mkdir(exist_ok=True)
    (directory / "spillway-front.conf").write_text(f'set $spillway_front "{KEY}";\n')
    offload = (ROOT / "deploy" / "nginx-offload.conf").read_text()
    offload = offload.replace("/var/log/nginx/", f"{directory}/")
    offload = offload.replace(
        "/etc/ssl/certs/ca-certificates.crt", str(site.certificates.authority)
    )
    (directory / "spillway-offload.conf").write_text(offload)
    server = (ROOT / "deploy" / "nginx.conf").read_text()
    server = server.replace("127.0.0.1:8000", f"127.0.0.1:{portal}")
    server = server.replace("listen 443 ssl;", f"listen 127.0.0.1:{port} backlog=4096;")
    server = re.sub(r"ssl_certificate.*\n", "\n", server)
    server = server.replace("# include /etc/nginx/", f"include {directory}/")
    paths = "".join(
        f"{kind}_temp_path {directory}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path = directory / "nginx.conf"
    path.write_text(
        f"daemon off; worker_processes 1; pid {directory}/pid; error_log stderr error;\n"
        f"events {{ worker_connections 8192; }}\nhttp {{ access_log off; {paths}\n{server} }}\n"
    )
    return path
