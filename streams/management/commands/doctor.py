"""`manage.py doctor`: what is wrong, how it shows, and what to do."""

import json
import time
from argparse import ArgumentParser
from dataclasses import asdict
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError

from streams.doctor import run, storing
from streams.doctor.checks import Finding, Severity
from streams.doctor.comparing import key
from streams.doctor.describing import described, finding
from streams.doctor.run import Report
from streams.doctor.storing import Difference
from streams.models import Endpoint
from streams.rotation.engine import account

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


class Command(BaseCommand):
    help = (
        "Looks for faults of endpoints, of what they hang on in AWS, and of this portal. Changes "
        "nothing there. Exit status 1 if there are errors, 2 if it could not run."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slugs", nargs="*", metavar="SLUG", help="absent: all endpoints")
        parser.add_argument(
            "--seconds", type=float, default=300.0, help="what is not read by then is skipped (300)"
        )
        parser.add_argument("--json", action="store_true", help="machine-readable, on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.monotonic()
        try:
            chosen = _endpoints(options["slugs"])
            report = run.examine(
                chosen,
                account(),
                seconds=options["seconds"],
                say=lambda what: self.stderr.write(f"looking at {what}"),
            )
        except DatabaseError as exc:
            # Its message may hold an address with a password.
            raise CommandError(
                f"The database cannot be read ({type(exc).__name__}). Is it there, and migrated?",
                returncode=2,
            ) from None
        seconds = time.monotonic() - began
        difference = self._stored(report, seconds=seconds, complete=chosen is None)
        if options["json"]:
            told = described(report) | asdict(difference)
            self.stdout.write(json.dumps(told, indent=2))
        else:
            self._print(report, difference)
        if report.fails:
            raise SystemExit(1)

    def _stored(self, report: Report, **about: Any) -> Difference:
        try:
            return storing.store(report, **about)
        except DatabaseError as exc:
            # What was found is worth more than its place in the history.
            self.stderr.write(f"This run could not be stored ({type(exc).__name__}).")
            return Difference(since=None, new=[], gone=[])

    def _print(self, report: Report, difference: Difference) -> None:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        new = {key(one) for one in difference.new}
        console = Console(file=cast("IO[str]", self.stdout))
        table = Table("severity", "what", "finding", title="Findings", show_lines=True)
        for one in report.findings:
            severity = Text(one.check.severity, style=_COLOURS[one.check.severity])
            what = f"{one.check.id}\n{one.subject.name}"
            if key(finding(one)) in new:
                what += "\nnew since the last run"
            table.add_row(severity, Text(what), Text(_told(one)))
        if report.findings:
            console.print(table)
        for gone in difference.gone:
            console.print(Text(f"Gone since the last run: {gone['id']}, {gone['subject']}."))
        counted = ", ".join(
            f"{sum(one.check.severity == severity for one in report.findings)} {severity}"
            for severity in Severity
        )
        console.print(
            f"{counted}; {report.passed} checks passed, {len(report.skipped)} skipped.",
            highlight=False,
        )


def _endpoints(slugs: list[str]) -> list[Endpoint] | None:
    """None: all of them."""
    if not slugs:
        return None
    found = Endpoint.objects.select_related("secret").order_by("slug")
    chosen = list(found.filter(slug__in=slugs))
    if missing := sorted(set(slugs) - {one.slug for one in chosen}):
        raise CommandError(f"There is no endpoint {', '.join(missing)}.", returncode=2)
    return chosen


def _told(finding: Finding) -> str:
    found = finding.found
    lines = [found.sentence, *(f"  {one}" for one in found.evidence)]
    lines += [finding.check.consequence, f"Fix: {found.fix}", *(f"  $ {one}" for one in found.cli)]
    return "\n".join(lines)
