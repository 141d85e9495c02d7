"""Users, groups and API tokens."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from streams.admin.base import RecordingAdmin
from streams.models import ApiToken, User

admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, RecordingAdmin):  # type: ignore[type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "is_staff", "is_active", "last_login")
    # Django's two boxes with arrows cannot be used with a screen reader, and are too wide.
    filter_horizontal = ()


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, RecordingAdmin):  # type: ignore[misc]
    filter_horizontal = ()


@admin.register(ApiToken)
class ApiTokenAdmin(RecordingAdmin):
    """Tokens are made by their owners or by `manage.py create_token`; here they are revoked."""

    list_display = ("key", "name", "user", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_filter = ("expires_at", "revoked_at")
    search_fields = ("key", "name", "user__username")
    list_select_related = ("user",)
    fields = readonly_fields = list_display
    # A bulk action: Unfold's own single actions are links, which a GET would run.
    actions = ("revoke",)
    subject = "token"

    def named(self, obj: ApiToken) -> str:
        return f"{obj.key} of {obj.user}"

    @admin.action(description=_("Revoke the selected tokens"), permissions=["change"])
    def revoke(self, request: HttpRequest, tokens: QuerySet[ApiToken]) -> None:
        with transaction.atomic():
            wanted = list(tokens.filter(revoked_at__isnull=True).select_for_update(of=("self",)))
            ApiToken.objects.filter(pk__in=[token.pk for token in wanted]).update(
                revoked_at=timezone.now()
            )
            for token in wanted:
                self.record(request, "revoked", self.named(token))
        self.message_user(request, _("Revoked: %(count)d") % {"count": len(wanted)})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
