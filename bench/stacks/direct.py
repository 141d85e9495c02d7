"""No relay at all: the client asks the origin itself, over TLS where the origin speaks it."""

from bench.client import Target
from bench.scenarios import Scenario
from bench.stacks.base import Running, Site, Stack


class Direct(Stack):
    """The ceiling of the measurement."""

    name = "direct"
    about = "the origin itself, without a relay"
    relays = False

    def start(self, site: Site) -> Running:
        def target(scenario: Scenario, size: int) -> Target:
            return Target(
                port=site.ports[scenario.scheme],
                path=scenario.path(size),
                size=size,
                authority=site.certificates.authority if scenario.tls else None,
            )

        return Running(target)
