"""What is shown and kept: tables for the terminal, Markdown and JSON for the record."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.plan import MIB
from bench.results import FirstByte, Kind, Results, Segments, SlowClients, Throughput
from bench.stacks import REFERENCE

NOTHING = "-"
TITLES = {"single": "One stream", "four": "Four streams at once", "sixteen": "Sixteen at once"}


@dataclass(frozen=True)
class Sheet:
    """One table, before it is known where it is going to be shown."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def sheets(results: Results) -> list[Sheet]:
    """Everything that was measured, in the order of reading."""
    throughput: dict[tuple[str, str], list[Throughput]] = {}
    for rate in results.throughput:
        throughput.setdefault((rate.measure, rate.scenario), []).append(rate)
    first: dict[str, list[FirstByte]] = {}
    for time in results.first_byte:
        first.setdefault(time.scenario, []).append(time)
    slow: dict[tuple[str, int], list[SlowClients]] = {}
    for herd in results.slow:
        slow.setdefault((herd.scenario, herd.count), []).append(herd)
    return [
        *(_rates(f"{TITLES[key[0]]}, {key[1]}", cells) for key, cells in throughput.items()),
        *(_first_bytes(f"First byte, {key}", cells) for key, cells in first.items()),
        *(_slow(f"{key[1]} slow clients, {key[0]}", cells) for key, cells in slow.items()),
        *([_kinds(results.kinds)] if results.kinds else []),
        *([_segments(results.segments)] if results.segments else []),
    ]


def _rates(title: str, cells: Iterable[Throughput]) -> Sheet:
    rows = []
    for cell in cells:
        if cell.failure:
            rows.append((cell.stack, "failed", "", "", ""))
            continue
        span = NOTHING
        if cell.ratios:
            span = f"{min(cell.ratios.values()):.2f} to {max(cell.ratios.values()):.2f}"
        rows.append(
            (
                cell.stack,
                _number(cell.ratio, 2),
                span,
                _number(cell.rate, 0, 1e6),
                _number(cell.cpu_per_gb, 2),
            )
        )
    return Sheet(title, ("stack", f"ratio to {REFERENCE}", "range", "MB/s", "CPU s/GB"), rows)


def _first_bytes(title: str, cells: list[FirstByte]) -> Sheet:
    own = next((cell.median for cell in cells if cell.stack == "direct"), None)
    rows = []
    for cell in cells:
        if cell.failure:
            rows.append((cell.stack, "failed", ""))
            continue
        added = cell.median - own if cell.median is not None and own is not None else None
        rows.append((cell.stack, _number(cell.median, 2, 1e-3), _number(added, 2, 1e-3)))
    return Sheet(title, ("stack", "median ms", "above the origin's own"), rows)


def _slow(title: str, cells: Iterable[SlowClients]) -> Sheet:
    columns = (
        "stack",
        "served",
        "after s",
        "KiB each",
        "kernel KiB each",
        "fast MB/s",
    )
    rows = []
    for cell in cells:
        if cell.failure:
            rows.append((cell.stack, "failed", "", "", "", ""))
            continue
        everyone = cell.served == cell.count
        served = f"{cell.served}" + (
            f", {cell.lost_meanwhile} lost later" if cell.lost_meanwhile else ""
        )
        rows.append(
            (
                cell.stack,
                served + "".join(f", {n} {w}" for w, n in cell.outcomes.items() if w != "served"),
                _number(cell.first_bytes_after if everyone else None, 1),
                _number(cell.each(cell.memory), 0, 1024),
                _number(cell.each(cell.kernel_memory), 0, 1024),
                _number(cell.fast_rate, 0, 1e6) if not cell.fast_failure else "none",
            )
        )
    return Sheet(title, columns, rows)


def _kinds(cells: Iterable[Kind]) -> Sheet:
    rows = [
        (
            cell.kind,
            "failed" if cell.failure else _number(cell.ratio, 2),
            _number(cell.rate, 0, 1e6),
            _number(cell.direct_rate, 0, 1e6),
        )
        for cell in cells
    ]
    columns = ("kind", "ratio to the stand-in itself", "MB/s", "the stand-in's MB/s")
    return Sheet("Every kind of origin, from the stand-in for AWS", columns, rows)


def _segments(cells: Iterable[Segments]) -> Sheet:
    rows = []
    for cell in cells:
        faster = cell.one_stream / cell.seconds if cell.one_stream and cell.seconds else None
        rows.append(
            (
                f"{cell.size / 1e6:.0f} MB, {cell.plan}",
                "failed" if cell.failure else _number(cell.seconds, 1),
                _number(cell.one_stream, 1),
                _number(faster, 1),
            )
        )
    columns = ("file and segments", "s", "s in one stream", "times as fast")
    return Sheet("Segments, under Lambda's limits (6 MiB, then 2 MiB/s)", columns, rows)


def _number(value: float | None, digits: int, unit: float = 1) -> str:
    return NOTHING if value is None else f"{value / unit:.{digits}f}"


def show(console: Console, results: Results) -> None:
    """The tables, on the terminal."""
    for sheet in sheets(results):
        table = Table(title=sheet.title, title_justify="left", title_style="bold")
        for number, column in enumerate(sheet.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in sheet.rows:
            style = "bold" if row[0] == "spillway" else None
            table.add_row(*row, style=style)
        console.print(table)
    for name, reason in results.skipped.items():
        console.print(f"skipped: {name}: {reason}", markup=False)
    for failure in results.failures:
        console.print(f"failed: {failure}", markup=False, style="red")


def save(directory: Path, stem: str, results: Results) -> Path:
    """Writes Markdown and JSON; the path of the Markdown. An older report is never overwritten."""
    directory.mkdir(exist_ok=True)
    name, number = stem, 1
    while (directory / f"{name}.json").exists():
        number += 1
        name = f"{stem}-{number}"
    (directory / f"{name}.json").write_text(json.dumps(_plain(results), indent=1) + "\n")
    path = directory / f"{name}.md"
    path.write_text(_markdown(name, results))
    return path


def _plain(results: Results) -> dict[str, Any]:
    """The raw values, with the medians that the tables show beside them."""
    plain = dataclasses.asdict(results)
    for kept, cell in zip(plain["throughput"], results.throughput, strict=True):
        kept |= {"rate": cell.rate, "ratio": cell.ratio, "cpu_per_gb": cell.cpu_per_gb}
    for kept, first in zip(plain["first_byte"], results.first_byte, strict=True):
        kept |= {"median": first.median}
    return plain


def _markdown(name: str, results: Results) -> str:
    plan = results.plan
    parts = [
        f"# {name}",
        "",
        f"{plan['rounds']} rounds of {plan['transfer'] // MIB} MiB, stacks taking turns in each; "
        f"{results.seconds / 60:.0f} minutes in all. How to read it: `bench/README.md`.",
        "",
        ", ".join(f"{key} {_fact(value)}" for key, value in results.machine.items()) + ".",
    ]
    for sheet in sheets(results):
        parts += ["", f"## {sheet.title}", "", _row(sheet.columns)]
        parts += ["|" + " --- |" + " ---: |" * (len(sheet.columns) - 1)]
        parts += [_row(row) for row in sheet.rows]
    if results.skipped:
        parts += ["", "## Skipped", ""]
        parts += [f"- {stack}: {reason}" for stack, reason in results.skipped.items()]
    if results.failures:
        parts += ["", "## Failed", "", *(f"- {failure}" for failure in results.failures)]
    return "\n".join([*parts, ""])


def _fact(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
