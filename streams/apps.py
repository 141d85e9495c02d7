from django.apps import AppConfig, apps
from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class StreamsConfig(AppConfig):
    name = "streams"
    verbose_name = _("Exports")

    def ready(self) -> None:
        from streams import checks  # noqa: F401 - importing it registers them
        from streams.access import roles
        from streams.accounts import signals  # noqa: F401 - likewise
        from streams.audit import protection, signing  # noqa: F401 - hears of those who sign in

        # Django's groups, by the name that operators' pages have for what is about them.
        apps.get_app_config("auth").verbose_name = _("Access")
        # By then Django has made the permissions of every table.
        post_migrate.connect(roles.make_groups, sender=self, dispatch_uid="roles")
        post_migrate.connect(protection.protect, sender=self, dispatch_uid="audit")


class OperatorsSiteConfig(AdminConfig):
    """Django's admin, with our own site at /operate/."""

    default_site = "streams.site.OperatorsSite"
