"""What operators see and change, one module per subject."""

from streams.admin import access, downloads, endpoints, rotations, secrets

__all__ = ["access", "downloads", "endpoints", "rotations", "secrets"]
