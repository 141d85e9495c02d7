"""What operators see and change, one module per subject."""

from streams.admin import access, downloads, endpoints, notices, rotations, secrets

__all__ = ["access", "downloads", "endpoints", "notices", "rotations", "secrets"]
