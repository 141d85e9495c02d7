"""nginx, twice: tuned for streaming, and with buffering off as many set-ups have it."""

import os
import shutil
from pathlib import Path
from typing import ClassVar

from bench.client import Target
from bench.processes import Child, free_port
from bench.scenarios import Scenario
from bench.stacks.base import CannotStartError, Running, Site, Stack, ready

CONFIGURATION = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {directory}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream plain {{ server 127.0.0.1:{plain}; keepalive 32; }}
    upstream tls {{ server 127.0.0.1:{tls}; keepalive 32; }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    {buffering}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location /plain/ {{ proxy_pass http://plain/; }}
        location /tls/ {{ proxy_pass https://tls/; }}
    }}
}}
"""


def executable() -> str | None:
    """Where nginx is; Debian keeps it where an ordinary user's PATH does not lead."""
    return shutil.which("nginx", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")


class Nginx(Stack):
    """One worker process; the settings differ."""

    buffering: ClassVar[str]

    def start(self, site: Site) -> Running:
        program = executable()
        if program is None:
            raise CannotStartError("nginx is not installed")
        port = free_port()
        child = Child.start(
            [program, "-c", self._configuration(site, port), "-p", site.directory],
            log=site.directory / f"{self.name}.log",
        )

        def target(scenario: Scenario, size: int) -> Target:
            return Target(port, f"/{scenario.scheme}{scenario.path(size)}", size)

        return ready(child, port, target)

    def _configuration(self, site: Site, port: int) -> Path:
        directory = site.directory / self.name
        directory.mkdir(exist_ok=True)
        path = directory / "nginx.conf"
        path.write_text(
            CONFIGURATION.format(
                directory=directory, port=port, buffering=self.buffering, **site.ports
            )
        )
        return path


class NginxTuned(Nginx):
    """What every ratio refers to."""

    name = "nginx-tuned"
    about = "nginx, buffering on, 8 buffers of 64 KiB, no temporary file"
    buffering = "proxy_buffers 8 64k; proxy_buffer_size 64k; proxy_max_temp_file_size 0;"


class NginxUnbuffered(Nginx):
    """The line that most guides to streaming give."""

    name = "nginx-unbuffered"
    about = "nginx, `proxy_buffering off`, default buffers"
    buffering = "proxy_buffering off;"
