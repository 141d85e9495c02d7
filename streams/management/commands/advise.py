"""`manage.py advise`: which of the five ways past 6 MB fits an export, and what protects it."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from typing import IO, Any, cast

from django.core.management.base import CommandError
from pydantic_core import PydanticCustomError

from portal.units import parse_size
from streams.doctor.advice import Advice, Auth, Client, Reason, Runtime, Verdict, Wish, advise
from streams.management.quick import QuickCommand
from streams.registry.spec import parse_duration

_PLAIN = "6 MB or less: an ordinary answer is enough, and none of this is needed."


class Command(QuickCommand):
    help = "Says which way out fits an export, and why. Reads nothing, and changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--size", type=_size, help="of the file, at most: 20GB, 150MiB; absent: not known"
        )
        parser.add_argument(
            "--takes", type=_seconds, metavar="TIME",
            help="to make all of it: 30s, 15m, 2h; 0: it is there already; absent: not known",
        )  # fmt: skip
        parser.add_argument(
            "--clients", nargs="+", type=Client, choices=list(Client), default=[Client.BROWSER],
            metavar="CLIENT", help=f"who fetches it: {', '.join(Client)} (browser)",
        )  # fmt: skip
        parser.add_argument(
            "--direct", action="store_true", help="they call AWS themselves, and not this portal"
        )
        parser.add_argument("--auth", type=Auth, choices=list(Auth), help="what you would like")
        parser.add_argument(
            "--resumable", action="store_true", help="a download that broke off must go on"
        )
        parser.add_argument(
            "--runtime", type=Runtime, choices=list(Runtime), default=Runtime.ANY,
            help="managed: only one of Lambda's own",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="machine-readable")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            wish = Wish(
                size=options["size"],
                seconds=options["takes"],
                clients=frozenset(options["clients"]),
                auth=options["auth"],
                resumable=options["resumable"],
                runtime=options["runtime"],
                direct=options["direct"],
            )
        except ValueError as exc:
            raise CommandError(str(exc), returncode=2) from None
        advice = advise(wish)
        if options["json"]:
            self.stdout.write(json.dumps(described(advice), indent=2))
        else:
            self._print(advice)

    def _print(self, advice: Advice) -> None:
        from rich.console import Console

        console = Console(file=cast("IO[str]", self.stdout), highlight=False, markup=False)
        sources: list[str] = []
        if advice.plain:
            console.print(_PLAIN)
        console.print(_table("Ways out", advice.ways, sources))
        console.print(_table("What protects a function URL", advice.auths, sources))
        for number, source in enumerate(sources, start=1):
            console.print(f"[{number}] {source}", soft_wrap=True)


def _table(title: str, verdicts: tuple[Verdict, ...], sources: list[str]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table("", "what", "why", title=title, show_lines=True)
    for number, one in enumerate(verdicts, start=1):
        lines = [f"• {reason.sentence}{_note(reason, sources)}" for reason in one.reasons]
        why = Text("\n".join([*lines, f"More: {one.more}"]))
        table.add_row(str(number), Text(f"{one.what}\n{one.fit}"), why)
    return table


def _note(reason: Reason, sources: list[str]) -> str:
    if not reason.source:
        return ""
    if reason.source not in sources:
        sources.append(reason.source)
    return f" [{sources.index(reason.source) + 1}]"


def _size(text: str) -> int | None:
    if text.strip() in {"0", "unknown"}:
        return 0 if text.strip() == "0" else None
    try:
        return parse_size(text)
    except ValueError as exc:
        raise ArgumentTypeError(f"expected {exc}, or unknown") from None


def _seconds(text: str) -> float | None:
    if text.strip() in {"0", "0s", "unknown"}:
        return None if text.strip() == "unknown" else 0.0
    try:
        return parse_duration(text).total_seconds()
    except (PydanticCustomError, OverflowError):
        raise ArgumentTypeError("expected a time such as 30s, 15m or 2h, 0 or unknown") from None


def described(advice: Advice) -> dict[str, Any]:
    """What `--json` tells: stable, the best first."""
    return {
        "plain": advice.plain,
        "ways": [_described(one) for one in advice.ways],
        "auths": [_described(one) for one in advice.auths],
    }


def _described(verdict: Verdict) -> dict[str, Any]:
    return {
        "what": verdict.what,
        "fit": verdict.fit,
        "reasons": [
            {"sentence": one.sentence, "source": one.source or None} for one in verdict.reasons
        ],
        "more": verdict.more,
    }
