"""Why downloads fail before their first byte: looks soon after, once for all that fail meanwhile.

A look is a row with a due time and a lease, and the tick finds what has failed: no download waits
for it, and without a worker there is none.
"""

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from streams.doctor.checks import ALL
from streams.doctor.facts import EndpointFacts, Unread
from streams.doctor.gathering import Gatherer
from streams.doctor.run import judged
from streams.models import Download, Endpoint, Examination, State
from streams.net import errors
from streams.rotation.engine import account

logger = logging.getLogger(__name__)

# Between two looks at one export, however many of its downloads fail.
PAUSE = timedelta(minutes=5)
# What failed before is left alone: by now something else may be wrong.
RECENT = timedelta(minutes=10)
# Seconds for one look. The last of its requests may take longer, and the lease more than all.
SECONDS = 60.0
LEASE = timedelta(minutes=4)

# How AWS or a gateway that is not set up well shows. Others say all there is to say.
_EXPLAINABLE = frozenset(
    error.code
    for error in (
        errors.ForbiddenError,
        errors.UrlUnknownError,
        errors.UrlPermissionError,
        errors.AwsDeniedError,
        errors.AwsCredentialsError,
        errors.GatewayRefusedError,
        errors.GatewayLimitError,
        errors.BufferedError,
        errors.FunctionError,
        errors.NotFoundError,
        errors.StatusError,
        errors.OriginTimeoutError,
        errors.UnreachableError,
        errors.BrokenError,
        errors.ProtocolError,
    )
)
_SYMPTOMS = frozenset({"secret-refused", "does-not-open"})
_PASSED = "The export opened when the doctor looked, a moment later."
_NOTHING = "The doctor found nothing that would explain it."


@dataclass(frozen=True)
class Diagnosis:
    """`cause` is the id of a check, empty where none was found."""

    text: str
    cause: str = ""


def due() -> list[int]:
    """The examinations whose time has come: of exports whose downloads have failed unexplained."""
    failed = _unexplained().filter(endpoint__isnull=False).values("endpoint")
    missing = Endpoint.objects.filter(pk__in=failed, examination__isnull=True)
    Examination.objects.bulk_create(
        [Examination(endpoint=endpoint) for endpoint in missing], ignore_conflicts=True
    )
    return list(Examination.objects.due().filter(endpoint__in=failed).values_list("pk", flat=True))


def look(pk: int) -> None:
    """Looks, if it is due and nobody else does, and tells the downloads that failed before."""
    claimed = _claim(pk)
    if claimed is not None:
        began = timezone.now()
        _record(claimed, began, diagnosis(claimed.endpoint))


def diagnosis(endpoint: Endpoint) -> Diagnosis:
    """What keeps downloads of this export from beginning now: a cause before its consequences."""
    gatherer = Gatherer(account(), time.monotonic() + SECONDS, lambda _: None)
    subjects = list(gatherer.of_endpoint(endpoint))
    (export,) = (one for one in subjects if isinstance(one, EndpointFacts))
    if isinstance(export.right, Unread):
        return Diagnosis(f"The doctor could not look: {export.right.reason}")
    if not export.right.code:
        return Diagnosis(_PASSED)
    reach = export.about | export.depends
    explaining = _explaining()
    for finding in judged(subjects).findings:
        # Other gateways of its secret were looked at too, and are none of its causes.
        if finding.check.id in explaining and finding.subject.about & reach:
            return Diagnosis(f"{finding.found.sentence} {finding.found.fix}", finding.check.id)
    return Diagnosis(_NOTHING)


def _explaining() -> frozenset[str]:
    """The checks that find why an export does not open, or at least that it does not."""
    symptoms = [check for check in ALL if check.id in _SYMPTOMS]
    return _SYMPTOMS.union(*(check.follows_from for check in symptoms))


def _unexplained() -> QuerySet[Download]:
    return Download.objects.filter(
        state=State.FAILED,
        diagnosis="",
        reason__in=_EXPLAINABLE,
        finished_at__gte=timezone.now() - RECENT,
    )


def _claim(pk: int) -> Examination | None:
    with transaction.atomic():
        mine = Examination.objects.filter(pk=pk).due()
        if not mine.update(token=F("token") + 1, lease_until=Now() + LEASE):
            return None
        return Examination.objects.select_related("endpoint__secret").get(pk=pk)


@transaction.atomic
def _record(examination: Examination, began: datetime, made: Diagnosis) -> None:
    mine = Examination.objects.filter(pk=examination.pk, token=examination.token)
    if not mine.update(due_at=Now() + PAUSE, lease_until=None):
        return
    # One that failed meanwhile may have failed otherwise: the next look is for it.
    failed = _unexplained().filter(endpoint=examination.endpoint, finished_at__lte=began)
    told = failed.update(cause=made.cause, diagnosis=made.text)
    logger.log(
        logging.WARNING if made.cause else logging.INFO,
        "download_diagnosed",
        extra={
            "export": examination.endpoint.slug,
            "cause": made.cause,
            "found": made.text,
            "downloads": told,
        },
    )
