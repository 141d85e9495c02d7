from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import post_migrate


class StreamsConfig(AppConfig):
    name = "streams"
    verbose_name = "Exports"

    def ready(self) -> None:
        from streams import checks  # noqa: F401 - importing it registers them
        from streams.access import roles
        from streams.audit import protection, signing  # noqa: F401 - hears of those who sign in

        # By then Django has made the permissions of every table.
        post_migrate.connect(roles.make_groups, sender=self, dispatch_uid="roles")
        post_migrate.connect(protection.protect, sender=self, dispatch_uid="audit")


class OperatorsSiteConfig(AdminConfig):
    """Django's admin, with our own site at /operate/."""

    default_site = "streams.site.OperatorsSite"
