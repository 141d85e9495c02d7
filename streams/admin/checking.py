"""*Check before saving*: an endpoint is examined as it stands in its form, and not stored."""

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from streams.doctor import comparing, run
from streams.rotation.engine import account

# The button's name.
CHECK = "_check"
# Seconds for what is read: somebody waits, perhaps behind a proxy that waits for a minute.
SECONDS = 20.0


def is_asked(request: HttpRequest) -> bool:
    return request.method == "POST" and CHECK in request.POST


def offer(request: HttpRequest, answer: HttpResponse) -> HttpResponse:
    """Puts the button beside *Save*, and above the form what was found, where that was asked.

    To be called when the transaction of the form has ended: AWS and the origin are asked.
    """
    context = answer.context_data if isinstance(answer, TemplateResponse) else None
    if not context or "adminform" not in context:
        return answer
    if context["has_add_permission" if context["add"] else "has_change_permission"]:
        button = {"action_name": CHECK, "description": _("Check before saving"), "attrs": {}}
        context["actions_submit_line"] = [button, *context.get("actions_submit_line", ())]
    if is_asked(request) and not context["errors"]:
        endpoint = context["adminform"].form.instance
        report = run.examine_endpoint(endpoint, account(), seconds=SECONDS)
        context["report"] = comparing.compared(report, None, timezone.now())
    return answer
