"""What operators see and change, one module per subject."""

from streams.admin import access, audit, downloads, endpoints, notices, rotations, secrets, setups

__all__ = ["access", "audit", "downloads", "endpoints", "notices", "rotations", "secrets", "setups"]
