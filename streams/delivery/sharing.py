"""Share links in use: made, revoked, and which downloads use one up."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Count, Max, Q, Sum
from django.db.models.functions import Now
from django.utils import timezone

from streams import audit
from streams.access import links
from streams.access.links import Given, LinkUsedUpError, PasscodeError
from streams.delivery import limits
from streams.models import Download, Endpoint, ShareLink, State, User
from streams.models.links import used

# How long a download that was counted may be gone on with.
LASTS = timedelta(days=1)
# A counted download is good for so many times the bytes of the file, and so many pieces at a time:
# programs ask for more than they then read, and for some of it twice.
BYTES = 2
PIECES = 16


@transaction.atomic
def make(
    user: User,
    endpoint: Endpoint,
    *,
    query: str,
    expires_at: datetime,
    most: int,
    passcode: str = "",
    note: str = "",
) -> str:
    """Makes a link for whom `links.may_share` lets; gives the last part of its address, once."""
    text = links.issue(
        user, endpoint, query=query, expires_at=expires_at, most=most, passcode=passcode, note=note
    )
    details = {"link": links.key_of(text)}
    audit.record("link.added", by=user, what=endpoint.slug, details=details)
    return text


@transaction.atomic
def revoke(link: ShareLink, *, by: User) -> bool:
    """Ends it. False where it was revoked before. What is being downloaded by it goes on."""
    standing = ShareLink.objects.filter(pk=link.pk, revoked_at__isnull=True)
    revoked = bool(standing.update(revoked_at=Now()))
    if revoked:
        details = {"link": link.key, "made by": link.user.get_username()}
        audit.record("link.revoked", by=by, what=link.endpoint.slug, details=details)
    return revoked


def open_link(text: str, given: Given) -> ShareLink:
    """The link, to whoever has its passcode too. Raises `LinkUnusableError` or `PasscodeError`."""
    link = links.find(text)
    try:
        links.check(link, given)
    except PasscodeError as exc:
        if exc.code == "passcode_wrong":
            details = {"link": link.key}
            audit.record("link.refused", by=None, what=link.endpoint.slug, details=details)
        raise
    return link


def store(record: Download, link: ShareLink, *, is_piece: bool) -> None:
    """Stores the record of a download by `link`, and counts it unless it goes on with another.

    `is_piece`: a range was asked for. Raises `LinkUsedUpError` where all its downloads are used up,
    and `LimitError`. Two that ask at once ask one after the other, since each waits for the row
    that the other holds.
    """
    with transaction.atomic():
        ShareLink.objects.select_for_update().get(pk=link.pk)
        record.counted = not (is_piece and _goes_on(record, link))
        if record.counted and not _has_left(link):
            raise LinkUsedUpError
        limits.store(record, link.endpoint, link.user)


def refuse_used_up(record: Download, link: ShareLink) -> None:
    """For a request without bytes. Raises `LinkUsedUpError` where a download would be refused."""
    if not _has_left(link) and not _goes_on(record, link):
        raise LinkUsedUpError


def begun(record: Download) -> None:
    """Its head is about to be sent: the client may ask for pieces before the meter writes it."""
    heads = {name: getattr(record, name) for name in ("resumable", "total", "size", "first")}
    Download.objects.filter(pk=record.pk).update(**heads)


def give_back(record: Download) -> None:
    """It failed before its first byte: it counts no more, and at once."""
    Download.objects.filter(pk=record.pk).update(counted=False)
    record.counted = False


def _has_left(link: ShareLink) -> bool:
    return Download.objects.filter(used(), link=link).count() < link.most


def _goes_on(record: Download, link: ShareLink) -> bool:
    """Whether the same client may have the pieces of a download that was counted.

    Without a cookie nothing but its address tells a client; so what it may draw is bounded. Raises
    `RunningError` where it has too many of them at a time.
    """
    mine = Download.objects.filter(
        link=link, address=record.address, started_at__gt=timezone.now() - LASTS
    )
    seen = mine.aggregate(
        uses=Count("pk", filter=used() & Q(resumable=True)),
        whole=Max("total"),
        drawn=Sum("sent"),
        running=Count("pk", filter=Q(state=State.RUNNING)),
    )
    if not seen["uses"] or not seen["whole"]:
        return False
    if seen["drawn"] >= BYTES * seen["uses"] * seen["whole"]:
        return False
    if seen["running"] >= PIECES:
        # Of those that a program fetches one after the other, most have ended.
        raise limits.too_many(limits.SHORTEST_WAIT)
    return True
