"""The Django project: settings, addresses, server and worker."""

from portal.celery import app as celery_app

__all__ = ["celery_app"]
