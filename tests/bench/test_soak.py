"""The soak's judge tells what was lost from what may happen, and the soak itself runs."""

import subprocess
import sys

import pytest

from bench.soak.cases import CASES, WHOLE, Case
from bench.soak.judging import against
from bench.soak.traffic import Ended, Seen
from tests.functional.conftest import ROOT

COMES = CASES[0]
[LOST] = [case for case in CASES if not case.comes]


@pytest.mark.parametrize(
    ("case", "seen", "state", "sent", "problem"),
    [
        (COMES, "whole", "complete", len(WHOLE), ""),
        (COMES, "whole", "interrupted", 7, ""),
        (COMES, "cut", "interrupted", 7, ""),
        (LOST, "cut", "cut", 7, ""),
        (COMES, "left", "cancelled", 7, ""),
        (COMES, "turned away", None, 0, ""),
        (COMES, "whole", "complete", 7, "came whole"),
        (COMES, "whole", "cut", 7, "came whole"),
        (LOST, "whole", "complete", len(WHOLE), "although the source broke off"),
        (COMES, "cut", "complete", len(WHOLE), "was cut"),
        (COMES, "cut", "cut", 7, "could have been gone on with"),
        (COMES, "other bytes", "complete", len(WHOLE), "none of the file's"),
        (COMES, "nothing more", "running", 7, "waited in vain"),
        (COMES, "whole", None, 0, "no record"),
    ],
)
def test_what_a_user_saw_is_held_against_the_record(
    case: Case, seen: Seen, state: str | None, sent: int, problem: str
) -> None:
    record = None if state is None else {"state": state, "sent": sent, "reason": "origin_ended"}

    told = against(Ended(case, seen, 200, "an-id"), record)

    assert problem in told
    assert bool(told) is bool(problem)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_half_a_minute_of_it_loses_nothing() -> None:
    command = [sys.executable, "-m", "bench.soak", "--minutes", "0.5", "--users", "4"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=390, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing was lost." in done.stdout
