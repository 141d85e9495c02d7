"""Share links: `<key>_<secret>`, kept as a public key and a keyed digest."""

import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.contrib.auth.hashers import check_password, make_password
from django.core.signing import BadSignature, TimestampSigner
from django.utils.crypto import salted_hmac

from streams.models import Endpoint, ShareLink, User
from streams.models.links import PERIOD

_FORM = re.compile(r"([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
# For so long a browser need not be asked again, so that it can resume.
PASSED = timedelta(days=1)


class LinkUnusableError(Exception):
    """Unknown, revoked, expired, used up, no longer its maker's to give: nobody is told which."""


class LinkUsedUpError(LinkUnusableError):
    """Used up by downloads, of which some may run."""


class PasscodeError(Exception):
    """The passcode is missing or wrong, as `code` says."""

    def __init__(self, code: str, retry_after: int | None = None) -> None:
        """`retry_after` is in seconds, where no more are tried."""
        super().__init__(code)
        self.code = code
        self.retry_after = retry_after


@dataclass(frozen=True)
class Given:
    """What somebody who comes by a link has besides: neither appears anywhere."""

    passcode: str = field(default="", repr=False)
    # What `passed` gave when the passcode was right.
    pass_: str = field(default="", repr=False)


def may_share(user: User, endpoint: Endpoint) -> bool:
    """Whether this user, who may download from `endpoint`, may let others without an account."""
    return endpoint.shareable or user.has_perm("streams.change_endpoint")


def issue(
    user: User,
    endpoint: Endpoint,
    *,
    query: str,
    expires_at: datetime,
    most: int,
    passcode: str = "",
    note: str = "",
) -> str:
    """Makes a link and gives the last part of its address, this once."""
    key = secrets.token_hex(6)
    text = f"{key}_{secrets.token_urlsafe(32)}"
    link = ShareLink(
        user=user, endpoint=endpoint, key=key, query=query, expires_at=expires_at, most=most,
        note=note, passcode=make_password(passcode) if passcode else "",
    )  # fmt: skip
    link.digest = _digest(text, link)
    link.save(force_insert=True)
    return text


def key_of(text: str) -> str:
    """The public part of a link that was issued."""
    return text.partition("_")[0]


def _digest(text: str, link: ShareLink) -> str:
    bound = f"{link.endpoint_id} {link.expires_at.timestamp()} {link.most} {link.query}"
    return salted_hmac("streams.share_link", f"{text} {bound}", algorithm="sha256").hexdigest()


def find(text: str) -> ShareLink:
    """The link that `text` is, with its export and who made it. Raises `LinkUnusableError`."""
    match = _FORM.fullmatch(text)
    found = ShareLink.objects.open().select_related("user", "endpoint__secret")
    link = match and found.filter(key=match[1]).first()
    if not link or not hmac.compare_digest(link.digest, _digest(text, link)):
        raise LinkUnusableError
    # What has become of its maker's rights holds for the link, too.
    visible = Endpoint.objects.visible_to(link.user).filter(pk=link.endpoint_id)
    if not visible.exists() or not may_share(link.user, link.endpoint):
        raise LinkUnusableError
    return link


def check(link: ShareLink, given: Given) -> None:
    """Raises `PasscodeError` where the link has a passcode and it was not given."""
    if not link.passcode or _has_passed(link, given.pass_):
        return
    if not given.passcode:
        raise PasscodeError("passcode_required")
    # Taken before the passcode is looked at: many at once get no more tries than one by one.
    if not ShareLink.objects.take_try(link):
        raise PasscodeError("passcode_limited", int(PERIOD.total_seconds()))
    if not check_password(given.passcode, link.passcode):
        raise PasscodeError("passcode_wrong")
    ShareLink.objects.give_back_try(link)


def passed(link: ShareLink) -> str:
    """For the cookie of a browser that has given the right passcode."""
    return _signer(link).sign(link.key)


def _has_passed(link: ShareLink, text: str) -> bool:
    try:
        return bool(text) and _signer(link).unsign(text, max_age=PASSED) == link.key
    except BadSignature:
        return False


def _signer(link: ShareLink) -> TimestampSigner:
    return TimestampSigner(salt=f"streams.link_passed.{link.passcode}")
