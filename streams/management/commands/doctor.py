"""`manage.py doctor`: what is wrong, how it shows, and what to do. With `--fix`, does it."""

import json
import time
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import asdict
from typing import IO, Any, cast

from django.core.management.base import CommandError
from django.db import Error as DatabaseError

from streams.doctor import describing, repairs, run, storing
from streams.doctor.checks import Finding, Severity
from streams.doctor.comparing import key
from streams.doctor.run import Report
from streams.doctor.storing import Difference
from streams.management.quick import QuickCommand
from streams.models import Endpoint
from streams.rotation.engine import account
from streams.tasks import ring_notices

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_LATE = "The time of this run was up before this could be looked at."


class Command(QuickCommand):
    help = (
        "Looks for faults of endpoints, of what they hang on in AWS, and of this portal. Changes "
        "nothing there without --fix. Exit status 1 if there are errors, 2 if it could not run."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slugs", nargs="*", metavar="SLUG", help="absent: all endpoints")
        parser.add_argument(
            "--seconds", type=float, default=300.0, help="what is not read by then is skipped (300)"
        )
        parser.add_argument(
            "--web", action="store_true",
            help="this runs under the web process's identity, which needs to rotate nothing",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="machine-readable, on stdout")
        parser.add_argument("--fix", action="store_true", help="show the repairs, ask, and do them")
        parser.add_argument("--yes", action="store_true", help="with --fix: do not ask")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["yes"] and not options["fix"]:
            raise CommandError("--yes needs --fix.", returncode=2)
        if options["json"] and options["fix"] and not options["yes"]:
            raise CommandError("--json with --fix needs --yes: it does not ask.", returncode=2)
        try:
            self._run(options)
        except DatabaseError as exc:
            # Its message may hold an address with a password.
            raise CommandError(
                f"The database cannot be read ({type(exc).__name__}). Is it there, and migrated?",
                returncode=2,
            ) from None

    def _run(self, options: dict[str, Any]) -> None:
        endpoints = _endpoints(options["slugs"])
        deadline, report, difference = self._examined(endpoints, options)
        results: list[dict[str, Any]] = []
        if chosen := repairs.in_order(report.findings) if options["fix"] else []:
            if not options["json"]:
                self._print(report, difference)
            results = self._mended(chosen, deadline, asks=not options["yes"])
        if results:
            deadline, report, difference = self._examined(endpoints, options)
        if options["json"]:
            told = _foretelling(describing.described(report), report, deadline) | asdict(difference)
            told |= {"repairs": results} if options["fix"] else {}
            self.stdout.write(json.dumps(told, indent=2))
        elif results or not chosen:
            self._print(report, difference)
        if report.fails or any(one["problem"] for one in results):
            raise SystemExit(1)

    def _examined(
        self, endpoints: list[Endpoint] | None, options: dict[str, Any]
    ) -> tuple[float, Report, Difference]:
        """Until when it may read, what it found, and how that differs from the last run."""
        began = time.monotonic()
        report = run.examine(
            endpoints,
            account(),
            seconds=options["seconds"],
            say=lambda what: self.stderr.write(f"looking at {what}"),
            web=options["web"],
        )
        seconds = time.monotonic() - began
        difference = self._stored(report, seconds=seconds, complete=endpoints is None)
        return time.monotonic() + options["seconds"], report, difference

    def _stored(self, report: Report, **about: Any) -> Difference:
        try:
            return storing.store(report, **about)
        except DatabaseError as exc:
            # What was found is worth more than its place in the history.
            self.stderr.write(f"This run could not be stored ({type(exc).__name__}).")
            return Difference(since=None, new=[], gone=[])

    def _mended(
        self, chosen: list[Finding], deadline: float, *, asks: bool
    ) -> list[dict[str, Any]]:
        """What came of each; nothing, where the answer was no."""
        for number, finding in enumerate(chosen, start=1):
            self.stderr.write(f"{number}. {_sentence(finding)} ({_where(finding)})")
            for line in _previewed(finding, deadline):
                self.stderr.write(f"   {line}")
        if asks and not self._agreed(len(chosen)):
            self.stderr.write("Nothing was changed.")
            return []
        try:
            return [_result(finding, self.stderr.write) for finding in chosen]
        finally:
            ring_notices()

    def _agreed(self, count: int) -> bool:
        self.stderr.write(f"Do {'this' if count == 1 else f'these {count}'}? [y/N] ", ending="")
        self.stderr.flush()
        try:
            return input().strip().lower() in {"y", "yes"}
        except EOFError:
            return False

    def _print(self, report: Report, difference: Difference) -> None:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        new = {key(one) for one in difference.new}
        console = Console(file=cast("IO[str]", self.stdout))
        table = Table("severity", "what", "finding", title="Findings", show_lines=True)
        for one in report.findings:
            severity = Text(one.check.severity, style=_COLOURS[one.check.severity])
            what = _where(one, "\n")
            if key(describing.finding(one)) in new:
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


def _result(finding: Finding, say: Callable[[str], None]) -> dict[str, Any]:
    """Does it, and tells what came of it."""
    told: dict[str, Any] = {
        "id": finding.check.id,
        "subject": finding.subject.name,
        "repair": _sentence(finding),
        "result": "failed",
        "done": [],
        "problem": None,
        "undone": [],
        "left": [],
    }
    try:
        outcome = repairs.do(finding, by=None, say=say)
    except repairs.RepairError as exc:
        say(f"not mended: {_where(finding)}: {exc}")
        for line in exc.undone:
            say(f"  taken back: {line}")
        for line in exc.left:
            say(f"  {line}")
        return told | {"problem": str(exc), "undone": list(exc.undone), "left": list(exc.left)}
    say(f"{outcome.state}: {_where(finding)}")
    return told | {"result": str(outcome.state), "done": list(outcome.done)}


def _sentence(finding: Finding) -> str:
    return finding.found.repair.sentence if finding.found.repair else ""


def _where(finding: Finding, between: str = ", ") -> str:
    return f"{finding.check.id}{between}{finding.subject.name}"


def _previewed(finding: Finding, deadline: float) -> list[str]:
    if time.monotonic() > deadline:
        return [_LATE]
    try:
        return repairs.preview(finding)
    except repairs.NotNowError as exc:
        return [f"It would not begin: {exc}"]


def _told(finding: Finding) -> str:
    found = finding.found
    lines = [found.sentence, *(f"  {one}" for one in found.evidence)]
    lines += [finding.check.consequence, f"Fix: {found.fix}", *(f"  $ {one}" for one in found.cli)]
    if found.repair:
        lines.append(f"Repair (--fix): {found.repair.sentence}")
    return "\n".join(lines)


def _foretelling(told: dict[str, Any], report: Report, deadline: float) -> dict[str, Any]:
    """The same, with what each repair would do, as far as it is read until then."""
    chosen = repairs.in_order(report.findings)
    previews = {one.found.repair: _previewed(one, deadline) for one in chosen}
    for row, finding in zip(told["findings"], report.findings, strict=True):
        if finding.found.repair:
            row["repair"]["preview"] = previews[finding.found.repair]
    return told
