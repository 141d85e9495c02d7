from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app
from django.core import checks
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


class OperatorsSiteConfig(SimpleAdminConfig):
    """Django's admin, with our own site at /operate/.

    Its pages come with the addresses (`portal.urls`): most commands have no use for them, and they
    are half of what a process has to import. Those are ours alone: allauth's would show what second
    factors are made of, and record nothing.
    """

    default_site = "streams.site.OperatorsSite"


@checks.register(checks.Tags.admin)
def check_pages(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Django's own check of them, which finds none if it comes before the addresses."""
    import streams.admin  # noqa: F401 - registers them

    return check_admin_app(app_configs)
