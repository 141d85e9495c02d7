from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class StreamsConfig(AppConfig):
    name = "streams"
    verbose_name = "Exports"


class OperatorsSiteConfig(AdminConfig):
    """Django's admin, with our own site at /operate/."""

    default_site = "streams.site.OperatorsSite"
