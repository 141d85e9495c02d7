"""The Django project: settings, addresses, server and worker."""

from portal.celery import app as celery_app

__all__ = ["VERSION", "celery_app"]

# As in pyproject.toml, which is not there wherever this runs.
VERSION = "0.1.0"
