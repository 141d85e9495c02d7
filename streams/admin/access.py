"""Users, groups, API tokens and share links."""

from typing import Any

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Prefetch, QuerySet, prefetch_related_objects
from django.forms import BooleanField, ModelForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import path
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldBooleanWidget

from streams.admin import catalogues
from streams.admin.base import KeptAdmin, RecordingAdmin, staff
from streams.admin.exporting import Export, ExportingAdmin
from streams.delivery import sharing
from streams.models import ApiToken, Endpoint, GroupPolicy, ShareLink, User
from streams.templatetags.times import ago

# Django's own, which the import above has registered.
admin.site.unregister(Group)


class _ManyRights:
    """Where they are not to be edited, Django names each with a query of its own."""

    rights = ""

    def get_object(self, *args: Any, **kwargs: Any) -> Any:
        found = super().get_object(*args, **kwargs)  # type: ignore[misc]
        if found is not None:
            prefetch_related_objects([found], f"{self.rights}__content_type")
        return found


@admin.register(User)
class UserAdmin(_ManyRights, DjangoUserAdmin, ExportingAdmin, RecordingAdmin):  # type: ignore[type-arg]
    rights = "user_permissions"
    export = Export(
        "users",
        ("username", "email", "is_active", "is_staff", "is_superuser", "date_joined", "last_login"),
    )
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "is_staff", "is_active", "last_login")
    # Django's two boxes with arrows cannot be used with a screen reader, and are too wide.
    filter_horizontal = ()
    actions = ("remove_second_factors",)
    change_form_before_template = "admin/streams/user/above.html"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.exports)
        return [path("<int:pk>/exports/", view, name="streams_user_exports"), *super().get_urls()]

    def exports(self, request: HttpRequest, pk: int) -> HttpResponse:
        """What is in their catalogue, and why."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        user = get_object_or_404(self.get_queryset(request), pk=pk)
        return catalogues.page(request, user, self.admin_site.each_context(request))

    @admin.action(description=_("Remove their second factors"), permissions=["change"])
    def remove_second_factors(self, request: HttpRequest, users: QuerySet[User]) -> None:
        """For who has lost the phone and the recovery codes. Their sessions end."""
        with transaction.atomic():
            for user in users:
                gone, _rows = Authenticator.objects.filter(user=user).delete()
                for session in UserSession.objects.filter(user=user) if gone else ():
                    session.end()
                if gone:
                    self.record(request, "changed", str(user), changes="second factors removed")
        self.message_user(request, _("They sign in without a second factor now."))


class GroupForm(ModelForm):  # type: ignore[type-arg]
    """A group, and what the portal demands of its members."""

    second_factor = BooleanField(
        label=_("Members need a second factor"),
        required=False,
        help_text=_(
            "Who has none is led to set one up before anything else. Their API tokens go on."
        ),
        widget=UnfoldBooleanWidget,
    )

    class Meta:
        model = Group
        fields = ("name", "permissions")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        demanding = GroupPolicy.objects.filter(group=self.instance.pk, second_factor=True)
        self.fields["second_factor"].initial = demanding.exists()


@admin.register(Group)
class GroupAdmin(_ManyRights, DjangoGroupAdmin, RecordingAdmin):  # type: ignore[misc]
    form = GroupForm
    fields = ("name", "second_factor", "permissions")
    rights = "permissions"
    filter_horizontal = ()

    def save_model(self, request: HttpRequest, obj: Group, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        wanted = {"second_factor": form.cleaned_data["second_factor"]}
        GroupPolicy.objects.update_or_create(group=obj, defaults=wanted)


@admin.register(ApiToken)
class ApiTokenAdmin(ExportingAdmin, KeptAdmin):
    """Tokens are made by their owners or by `manage.py create_token`; here they are revoked."""

    list_display = (
        "key", "name", "user", "scope", "created_at", "expires_at", "last_used_at", "revoked_at",
    )  # fmt: skip
    list_filter = ("scope", "expires_at", "revoked_at")
    search_fields = ("key", "name", "user__username")
    list_select_related = ("user",)
    fields = readonly_fields = (*list_display, "endpoints")
    export = Export("tokens", list_display)
    # A bulk action: Unfold's own single actions are links, which a GET would run.
    actions = ("revoke",)
    subject = "token"
    untold = frozenset({"digest"})

    def get_queryset(self, request: HttpRequest) -> Any:
        mine = Endpoint.objects.operable_by(staff(request))
        return super().get_queryset(request).prefetch_related(Prefetch("endpoints", mine))

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


@admin.register(ShareLink)
class ShareLinkAdmin(KeptAdmin):
    """Links are made by whoever may download; here they are seen, and revoked."""

    list_display = (
        "key", "endpoint", "user", "note", "expires_at", "used", "last_used", "has_passcode",
        "revoked_at",
    )  # fmt: skip
    # Django's own filter would name all endpoints that there are.
    list_filter = ("expires_at", "revoked_at", ("endpoint", admin.RelatedOnlyFieldListFilter))
    search_fields = ("key", "note", "user__username", "endpoint__slug")
    list_select_related = ("user", "endpoint")
    fields = readonly_fields = (*list_display, "query", "created_at")
    actions = ("revoke",)
    untold = frozenset({"digest", "passcode"})

    def get_queryset(self, request: HttpRequest) -> Any:
        closed = Endpoint.objects.closed_to(staff(request))
        return super().get_queryset(request).exclude(endpoint__in=closed).with_uses()

    @admin.display(description=_("used"), ordering="uses")
    def used(self, link: Any) -> str:
        return _("%(uses)d of %(most)d") % {"uses": link.uses, "most": link.most}

    @admin.display(description=_("last used"), ordering="last_used_at")
    def last_used(self, link: Any) -> str:
        return ago(link.last_used_at)

    @admin.display(description=_("passcode"), boolean=True)
    def has_passcode(self, link: ShareLink) -> bool:
        return bool(link.passcode)

    @admin.action(description=_("Revoke the selected links"), permissions=["change"])
    def revoke(self, request: HttpRequest, links: QuerySet[ShareLink]) -> None:
        count = sum(sharing.revoke(link, by=staff(request)) for link in links)
        self.message_user(request, _("Revoked: %(count)d") % {"count": count})
