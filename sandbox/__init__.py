"""A local stand-in for AWS: a third-party emulator, and in front of it what none of them does."""

from sandbox.client import Sandbox, running
from sandbox.objects import Generated
from sandbox.settings import Settings

__all__ = ["Generated", "Sandbox", "Settings", "running"]
