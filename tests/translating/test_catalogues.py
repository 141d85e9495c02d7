"""Every text is marked for translation, and translated: without a gap, and without a doubt."""

import gettext
import io
from pathlib import Path

import allauth
import pytest
import unfold
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from django.contrib import humanize

from translating import bare, catalogues, texts

CATALOGUES = sorted(catalogues.FOLDER.rglob("*.po"))
NAMED = [str(path.relative_to(catalogues.FOLDER)) for path in CATALOGUES]
TEMPLATES = texts.ROOT / "templates"
# Not read by anybody: the name of a class of CSS.
NO_TEXT = {("allauth/layouts/base.html", "· account")}


@pytest.fixture(scope="module")
def found() -> Catalog:
    return texts.catalogue()


@pytest.mark.parametrize("language", catalogues.TRANSLATED)
def test_a_catalogue_has_every_text_and_no_other(language: str, found: Catalog) -> None:
    kept = catalogues.read(catalogues.place(language))

    assert len(found) > 900
    assert list(catalogues.differences(kept, found)) == [], "run `make translations`"


@pytest.mark.parametrize("path", CATALOGUES, ids=NAMED)
def test_every_text_is_translated(path: Path) -> None:
    assert list(catalogues.faults(catalogues.read(path))) == []


@pytest.mark.parametrize("path", CATALOGUES, ids=NAMED)
def test_what_is_read_at_run_time_is_what_was_compiled(path: Path) -> None:
    compiled = io.BytesIO()
    write_mo(compiled, catalogues.read(path))

    assert path.with_suffix(".mo").read_bytes() == compiled.getvalue(), "run `make translations`"
    assert gettext.GNUTranslations(io.BytesIO(compiled.getvalue())).info()["language"] == "de"


def test_what_is_translated_for_a_package_is_in_that_package() -> None:
    [path] = (path for path in CATALOGUES if "packages" in path.parts)
    there = {message.id for message in catalogues.read(path) if message.id}
    folders = [Path(package.__file__ or "").parent for package in (allauth, unfold, humanize)]
    known = {
        message.id
        for folder in folders
        for source in [*folder.glob("locale/de/**/*.po")]
        for message in catalogues.read(source)
    }
    known |= {text for _, text, _, _ in texts.in_folder(folders[1])}

    assert there - known == set()


def test_faults_are_found() -> None:
    catalogue = Catalog(locale="de", fuzzy=False)
    catalogue.add("whole", "ganz")
    catalogue.add("open", "")
    catalogue.add("doubtful", "zweifelhaft", flags=["fuzzy"])
    catalogue.add("%(count)s of {all}", "%(count)s von {alle}")
    catalogue.add("<b>bold</b>", "fett")
    catalogue.add(("one", "%d many"), ("eins", ""))
    catalogue.add(("one byte", "%d bytes"), ("ein Byte", "%d Bytes"))

    told = sorted(fault.partition(":")[0] for fault in catalogues.faults(catalogue))

    assert told == [
        "marked as doubtful (fuzzy)",
        "not translated",
        "not translated",
        "other placeholders or tags than in the text",
        "other placeholders or tags than in the text",
    ]


def test_no_template_has_a_text_that_is_not_marked() -> None:
    unmarked = {
        (path.relative_to(TEMPLATES).as_posix(), text)
        for path in TEMPLATES.rglob("*")
        if path.suffix in {".html", ".txt"}
        for text in bare.of(path.read_text())
    }

    assert unmarked == NO_TEXT


@pytest.mark.parametrize(
    "template",
    [
        "<p>Some words</p>",
        '<img alt="Some words">',
        '<p data-done="Some words">',
        '{% include "it.html" with title="Some words" %}',
        '{{ title|default:"Some words" }}',
        "{% if x %}Some{% endif %} {{ y }}words",
    ],
)
def test_unmarked_text_is_found(template: str) -> None:
    assert bare.of(template)


@pytest.mark.parametrize(
    "template",
    [
        '<p class="two words">{% translate "Some words" %} · {{ x|date:"j F" }} Spillway</p>',
        '{% blocktranslate with a="b" %}Some {{ a }}{% endblocktranslate %}',
        '{# Some words #}<code>curl --fail</code><a href="{% url "some" %}">→</a>',
        '{% include "it.html" with title=_("Some words") %}',
    ],
)
def test_marked_text_is_not_found(template: str) -> None:
    assert bare.of(template) == []
