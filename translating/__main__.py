"""`make translations`: brings the catalogues up to date, compiles them, and says what is open."""

import os
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

import django

django.setup()

from translating import catalogues, texts  # noqa: E402 - templates are read by Django's settings


def main() -> int:
    found = texts.catalogue()
    for language in catalogues.TRANSLATED:
        catalogues.update(language, found)
    catalogues.compile_all()
    told = [
        f"{path.relative_to(texts.ROOT)}: {fault}"
        for path in sorted(catalogues.FOLDER.rglob("*.po"))
        for fault in catalogues.faults(catalogues.read(path))
    ]
    print("\n".join([*told, f"{len(found)} texts, {len(told)} open"]))
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
