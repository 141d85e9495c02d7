"""The Celery application. A message is only a doorbell: what must happen is a database row."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("spillway")
# Read when the first task is sent or the worker starts, and not while Django is being set up.
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
