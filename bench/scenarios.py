"""What the origin sends, and how."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scenario:
    """One way for an origin to send a body."""

    tls: bool
    chunked: bool

    @property
    def scheme(self) -> str:
        """`tls` or `plain`."""
        return "tls" if self.tls else "plain"

    @property
    def framing(self) -> str:
        """`chunked` or `length`."""
        return "chunked" if self.chunked else "length"

    @property
    def name(self) -> str:
        """Such as `tls-chunked`, which is what a function URL sends."""
        return f"{self.scheme}-{self.framing}"

    def path(self, size: int) -> str:
        """Where the origin offers a body of `size` bytes in this way."""
        return f"/{self.framing}/{size}"


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(tls=False, chunked=False),
        Scenario(tls=False, chunked=True),
        Scenario(tls=True, chunked=False),
        Scenario(tls=True, chunked=True),
    )
}
