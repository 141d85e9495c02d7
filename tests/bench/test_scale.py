"""What docs/scale.md says is what is computed, and what is computed is what was measured."""

from pathlib import Path

import pytest

from bench import scale

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_has_these_tables() -> None:
    page = (ROOT / "docs/scale.md").read_text()

    for table in scale.tables().strip().split("\n\n"):
        assert table in page, "run: python -m bench.scale"


def test_the_figures_are_those_of_the_benchmark() -> None:
    text = (ROOT / "bench/results/2026-11-27-full.md").read_text()
    four = text.partition("## Four streams at once, tls-chunked")[2].partition("\n## ")[0]
    slow = text.partition("## 1000 slow clients, tls-chunked")[2].partition("\n## ")[0]

    def cell(table: str, stack: str, column: int) -> str:
        (row,) = (line for line in table.splitlines() if line.startswith(f"| {stack} |"))
        return row.split("|")[column].strip()

    assert cell(four, "spillway", 5) == f"{scale.CPU_KNOWN}"
    assert cell(four, "fresh", 5) == f"{scale.CPU_FRESH}"
    assert cell(slow, "spillway", 4) == f"{scale.MEMORY >> 10}"
    assert cell(slow, "spillway", 2) == f"{scale.SLOWEST}"
    assert "| 1000 MB, 8 segments of 5MiB | 5.8 |" in text


@pytest.mark.parametrize("load", scale.LOADS[1:4], ids=lambda load: load.name)
def test_below_its_capacity_the_simulation_agrees_with_the_formulas(load: scale.Load) -> None:
    seen = scale.simulate(load, scale.processes(load), hours=1)

    assert seen.mean == pytest.approx(scale.at_a_time(load), rel=0.15)
    assert seen.slower < 1.05


def test_beyond_its_capacity_nothing_ends_in_time() -> None:
    load = scale.LOADS[3]

    assert scale.simulate(load, int(scale.cores(load)), hours=0.5).slower > 1.2


@pytest.mark.django_db
def test_a_database_is_measured_and_left_as_it_was() -> None:
    from streams.models import Download

    assert "10 running downloads" in scale.database(rows=10, rounds=2)
    assert not Download.objects.exists()
