from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class StreamsConfig(AppConfig):
    name = "streams"
    verbose_name = "Exports"

    def ready(self) -> None:
        from streams import checks  # noqa: F401 - importing it registers them


class OperatorsSiteConfig(AdminConfig):
    """Django's admin, with our own site at /operate/."""

    default_site = "streams.admin.site.OperatorsSite"
