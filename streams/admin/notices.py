"""Channels, and the notices that went or are to go through them."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from streams.admin.base import KeptAdmin, RecordingAdmin
from streams.admin.exporting import Export, ExportingAdmin
from streams.models import Channel, Notice, NoticeEvent, NoticeState
from streams.models.notices import NoticeQuerySet, all_events, host_of, new_key
from streams.notices import check
from streams.tasks import ring_notices


class ChannelForm(forms.ModelForm):  # type: ignore[type-arg]
    """Where notices go, and which. The key to sign with is made by the portal."""

    events = forms.MultipleChoiceField(
        label=_("Is told when"),
        choices=[(value, NoticeEvent(value).label) for value in all_events()],
        initial=all_events,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = Channel
        fields = ("name", "kind", "address", "events", "enabled")
        help_texts = {
            "address": _(
                "Mail addresses separated by commas, or the webhook's URL, of which only the host "
                "is shown once it is saved."
            )
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.kind == Channel.Kind.WEBHOOK:
            self.initial["address"] = host_of(self.instance.address)

    def leads_elsewhere(self) -> bool:
        """Whether an address was entered, and not left as it was shown."""
        return not {"kind", "address"}.isdisjoint(self.changed_data)

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if not self.leads_elsewhere():
            self.cleaned_data["address"] = self.instance.address
        elif not self.errors:
            channel = Channel(kind=self.cleaned_data["kind"], address=self.cleaned_data["address"])
            if sentence := check.problem(channel):
                raise ValidationError({"address": sentence})
        return cleaned


@admin.register(Channel)
class ChannelAdmin(RecordingAdmin):
    form = ChannelForm
    list_display = ("name", "kind", "place", "is_told", "enabled", "problem")
    list_filter = ("kind", "enabled")
    search_fields = ("name", "address")
    readonly_fields = ("problem",)
    fields = ("name", "kind", "address", "events", "enabled", "problem")
    actions_detail = ("test", "renew_key")

    def get_queryset(self, request: HttpRequest) -> Any:
        # Not even decrypted for these pages.
        return super().get_queryset(request).defer("key", "sealed")

    @admin.display(description=_("address"), ordering="address")
    def place(self, channel: Channel) -> str:
        return host_of(channel.address)

    @admin.display(description=_("is told when"))
    def is_told(self, channel: Channel) -> str:
        known = [event for event in NoticeEvent if event in channel.events]
        if len(known) == len(all_events()):
            return gettext("anything happens")
        return ", ".join(str(event.label) for event in known)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Without reading all that went through it: a record of what was told stays."""
        if not Notice.objects.filter(channel__in=objs).exists():
            return super().get_deleted_objects(objs, request)
        return [str(one) for one in objs], {}, {gettext("notice")}, []

    def save_model(
        self, request: HttpRequest, obj: Channel, form: ChannelForm, change: bool
    ) -> None:
        if form.leads_elsewhere():
            obj.lead_to(form.cleaned_data["address"])
        if obj.enabled:
            obj.problem = ""
        super().save_model(request, obj, form, change)

    def response_add(
        self, request: HttpRequest, obj: Channel, post_url_continue: str | None = None
    ) -> HttpResponse:
        if obj.kind != Channel.Kind.WEBHOOK:
            answer: HttpResponse = super().response_add(request, obj, post_url_continue)
            return answer
        # In the answer itself: a message for the next page would be kept in a cookie.
        return self._key_page(request, obj)

    @action(description=_("Send a test …"), url_path="test", permissions=["change"])  # type: ignore[untyped-decorator]
    def test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        channel = self._channel(request, object_id)
        if request.method != "POST":
            return self._question(
                request,
                channel,
                title=_("Send a test to %s") % channel,
                text=_("One message goes out at once, to this channel alone."),
                button=_("Send a test"),
            )
        if not channel.enabled:
            messages.error(request, _("Enable the channel first: nothing is sent through it."))
            return HttpResponseRedirect(request.path)
        with transaction.atomic():
            notice = Notice.objects.test(channel, by=request.user.get_username())
            self.record(request, "tested", self.named(channel))
        transaction.on_commit(ring_notices, robust=True)
        return HttpResponseRedirect(reverse("admin:streams_notice_change", args=[notice.pk]))

    @action(description=_("New key …"), url_path="key", permissions=["change"])  # type: ignore[untyped-decorator]
    def renew_key(self, request: HttpRequest, object_id: str) -> HttpResponse:
        channel = self._channel(request, object_id)
        if request.method != "POST":
            return self._question(
                request,
                channel,
                title=_("A new key for %s") % channel,
                text=_(
                    "From now on notices are signed with the new key, which is shown once. What "
                    "the receiver refuses until it knows the key is sent again later."
                ),
                button=_("Make a new key"),
            )
        channel.key = new_key()
        with transaction.atomic():
            channel.save(update_fields=["key"])
            self.log_change(request, channel, gettext("A new key was made."))
        return self._key_page(request, channel)

    def _channel(self, request: HttpRequest, object_id: str) -> Channel:
        channel = get_object_or_404(Channel.objects.readable(), pk=object_id)
        if not self.has_change_permission(request, channel):
            raise PermissionDenied
        return channel

    def _question(self, request: HttpRequest, channel: Channel, **words: Any) -> HttpResponse:
        context = self.admin_site.each_context(request) | {"channel": channel, **words}
        return render(request, "admin/streams/channel/question.html", context)

    def _key_page(self, request: HttpRequest, channel: Channel) -> HttpResponse:
        context = self.admin_site.each_context(request) | {
            "channel": channel,
            "title": _("The key of %s") % channel,
        }
        return render(request, "admin/streams/channel/key.html", context)


class StateFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return NoticeState.choices

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        return queryset.in_state(NoticeState(value)) if value in NoticeState.values else queryset


@admin.register(Notice)
class NoticeAdmin(ExportingAdmin, KeptAdmin):
    """A record of what was told. Nobody edits one; those given up can be tried again."""

    list_display = ("created_at", "channel", "event", "summary", "stands", "attempts", "problem")
    list_filter = (StateFilter, "event", "channel")
    search_fields = ("summary", "channel__name", "id")
    fields = readonly_fields = (
        "id", "channel", "event", "summary", "data", "stands", "problem", "attempts", "created_at",
        "due_at", "sent_at", "given_up_at",
    )  # fmt: skip
    export = Export(
        "notices",
        ("id", "created_at", "channel", "event", "summary", "state", "attempts", "problem"),
    )
    # A bulk action: Unfold's own single actions are links, which a GET would run.
    actions = ("try_again",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return (
            super()
            .get_queryset(request)
            .select_related("channel")
            .defer("channel__key", "channel__sealed")
        )

    @admin.display(description=_("state"))
    def stands(self, notice: Notice) -> str:
        if notice.state == NoticeState.WAITING and notice.attempts:
            return gettext("waiting, next attempt %s") % date_format(
                notice.due_at, "DATETIME_FORMAT"
            )
        return str(notice.state.label)

    @admin.action(description=_("Try again those that were given up"), permissions=["change"])
    def try_again(self, request: HttpRequest, notices: NoticeQuerySet) -> None:
        with transaction.atomic():
            count = notices.try_again()
            self.record(request, "tried-again", ngettext("%d notice", "%d notices", count) % count)
        transaction.on_commit(ring_notices, robust=True)
        told = ngettext("%d notice is tried again.", "%d notices are tried again.", count)
        self.message_user(request, told % count)
