"""The operators' pages in German: none breaks, and nothing that has a translation is in English."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import allauth
import django
import pytest
from babel.messages.pofile import read_po
from django.contrib.auth.models import Group
from django.db.models import CASCADE, Model
from django.test import Client
from django.urls import reverse
from django.utils.functional import Promise

from streams.access.roles import Role
from streams.models import Endpoint, Secret, User
from tests.admin import test_admin
from tests.admin.test_roles import addresses, client_of
from translating import catalogues

pytestmark = pytest.mark.django_db

world = test_admin.world
# The same in German, where another package says it longer; what the portal calls its roles, its
# exports, and whom to ask; a language by its own name.
NAMES = {"URL", "viewer", "operator", "administrator", "new", "your administrator"}
NAMES |= {"British English"}


# A picture, which its font draws by a name.
SYMBOL = re.compile(r'<span class="material-symbols-outlined[^>]*>[^<]*</span>')


class Texts(HTMLParser):
    """What stands between tags, but for code."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self._silent = 0
        self.feed(SYMBOL.sub("", page))

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._silent += tag in {"script", "style", "code", "pre"}

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in {"script", "style", "code", "pre"}

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.found.add(" ".join(data.split()))


def english() -> set[str]:
    """Texts of ours and of packages that read otherwise in German."""
    packages = [Path(package.__file__ or "").parent for package in (django, allauth)]
    known: set[str] = set()
    for folder in (catalogues.FOLDER, *packages):
        for path in folder.glob("**/de/LC_MESSAGES/django.po"):
            with path.open("rb") as file:
                known |= {
                    " ".join(message.id.split())
                    for message in read_po(file)
                    if isinstance(message.id, str) and message.string not in {"", message.id}
                }
    return known - {""}


def test_every_page_is_in_german() -> None:
    client, pages = client_of(Role.ADMINISTRATOR), list(addresses())
    known, left = english() - NAMES, set()

    for _, address in pages:
        answer = client.get(address, HTTP_ACCEPT="text/html", HTTP_ACCEPT_LANGUAGE="de")
        assert answer.status_code < 500, address
        if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
            left |= {(address, text) for text in Texts(answer.content.decode()).found & known}

    assert left == set()


def ended_with(model: type[Model]) -> Iterator[type[Model]]:
    """What of ours the page that deletes one of these lists besides."""
    for one in model._meta.related_objects:
        held = one.related_model
        assert not isinstance(held, str)
        if one.on_delete is CASCADE and held._meta.app_label == "streams":
            yield held
            yield from ended_with(held)


def test_what_a_heading_or_a_deletion_lists_has_a_name_in_german(operator: Client) -> None:
    for model in (Endpoint, Secret, User, Group):
        for one in ended_with(model):
            if not one._meta.auto_created:
                names = (one._meta.verbose_name, one._meta.verbose_name_plural)
                assert all(isinstance(name, Promise) for name in names), one

    secret = reverse("admin:streams_secret_change", args=[Secret.objects.get().pk])
    page = operator.get(secret, HTTP_ACCEPT_LANGUAGE="de").content.decode()
    assert "versionen des geheimnisses" in page.lower()
    assert "secret version" not in page.lower()
