"""The product's own settings, in an environment made for tests."""

import atexit
import os
import shutil
import tempfile

if "SPILLWAY_STATE_DIR" not in os.environ:
    state = tempfile.mkdtemp(prefix="spillway-tests-")
    os.environ["SPILLWAY_STATE_DIR"] = state
    atexit.register(shutil.rmtree, state, ignore_errors=True)
os.environ.setdefault("SPILLWAY_PRIVATE_ORIGINS", "127.0.0.0/8")

from portal.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
INSTALLED_APPS += ["tests.flushing"]  # noqa: F405
