"""`python -m docs.generate`: writes the pages of `docs/reference/`, which tell what the code has.

Options come from the commands' own parsers, operations from the OpenAPI document. A test holds
the pages to what this would write.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
from django.core.management import load_command_class
from django.core.management.base import BaseCommand

FOLDER = Path(__file__).with_name("reference")
METHODS = ("get", "post", "put", "patch", "delete")


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Of each command of the portal's own, by its name."""
    folder = Path(__file__).resolve().parents[1] / "streams" / "management" / "commands"
    names = sorted(path.stem for path in folder.glob("[a-z]*.py"))
    return {
        name: load_command_class("streams", name).create_parser("manage.py", name) for name in names
    }


def pages() -> dict[str, str]:
    """The text of each page, by its file name."""
    return {"options.md": _options(), "operations.md": _operations()}


def _options() -> str:
    parts = [
        "# Every option of every command\n",
        "Made from the commands themselves; `manage.py COMMAND --help` says the same.\n"
        "[Commands](../commands.md) tells what each one does, prints and ends with. Django's own\n"
        "options (`--verbosity`, `--settings`, `--traceback` and the like) work besides.\n",
    ]
    for name, parser in parsers().items():
        parts.append(f"## {name}\n")
        parts.append(f"{parser.description}\n")
        rows = [_option(action) for action in _own(parser)]
        if rows:
            parts.append("| option | | |\n| --- | --- | --- |\n" + "".join(rows))
    return "\n".join(parts)


def _own(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """What a command adds to what all commands of Django have."""
    common = BaseCommand().create_parser("manage.py", "")
    shared = {action.dest for action in common._actions}
    return (action for action in parser._actions if action.dest not in shared)


def _option(action: argparse.Action) -> str:
    name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
    value = ""
    if action.choices:
        value = ", ".join(f"`{one}`" for one in action.choices)
    elif action.option_strings and action.nargs != 0:
        value = f"`{action.metavar or action.dest.upper()}`"
    must = "required" if action.required and action.option_strings else ""
    said = [part for part in (must, action.help or "", _default(action)) if part]
    return f"| `{name}` | {value} | {_cell('; '.join(said))} |\n"


def _default(action: argparse.Action) -> str:
    told = isinstance(action.default, str | int) and not isinstance(action.default, bool)
    return f"default: `{action.default}`" if told and action.default else ""


def _operations() -> str:
    from streams.api.site import api

    document: Any = api.get_openapi_schema(path_prefix="/api/v1")
    parts = [
        "# Every operation of the API\n",
        "Made from the OpenAPI document, which a portal serves at `/api/v1/openapi.json`. That\n"
        "also has the form of every request and answer, with examples.\n"
        "[The REST API](../api.md) is the guide.\n",
    ]
    parts += [
        _operation(method.upper(), path, operations[method])
        for path, operations in document["paths"].items()
        for method in METHODS
        if method in operations
    ]
    return "\n".join(parts)


def _operation(method: str, path: str, told: Any) -> str:
    lines = [f"## {method} {path.removeprefix('/api/v1')}\n"]
    sentence = " ".join((told.get("description") or told.get("summary") or "").split())
    lines.append(f"{sentence}\n")
    rows = [
        f"| `{one['name']}` | {one['in']}{', required' if one.get('required') else ''} | "
        f"{_cell(one.get('description') or one['schema'].get('description') or '')} |\n"
        for one in told.get("parameters", [])
    ]
    if rows:
        lines.append("| parameter | | |\n| --- | --- | --- |\n" + "".join(rows))
    lines.append(f"Answers {', '.join(str(status) for status in sorted(told['responses']))}.\n")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
