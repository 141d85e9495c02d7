"""Each check has its section in docs/doctor.md, and each section its check."""

import re
from pathlib import Path

from streams.doctor.checks import ALL, Severity

PAGE = Path(__file__).resolve().parents[2] / "docs" / "doctor.md"


def sections() -> dict[str, str]:
    """The text on each check, by its id."""
    _, _, checks = PAGE.read_text(encoding="utf-8").partition("# The checks\n")
    found = re.split(r"^## ", checks, flags=re.MULTILINE)[1:]
    return {section.partition("\n")[0]: section for section in found}


def test_each_check_has_a_section_and_each_section_a_check() -> None:
    documented = sections()

    assert list(documented) == [check.id for check in ALL]
    for check in ALL:
        section = " ".join(documented[check.id].split())
        assert f"*{check.title}.* ({check.severity}) " in section
        assert f"**Otherwise:** {check.consequence} " in section
        assert "**Fix:** " in section


def test_ids_are_words_with_hyphens_and_causes_are_checks() -> None:
    ids = [check.id for check in ALL]

    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", one) for one in ids)
    assert {cause for check in ALL for cause in check.follows_from} <= set(ids)


def test_no_error_is_hidden_behind_a_warning() -> None:
    by_id = {check.id: check for check in ALL}
    rank = list(Severity)

    for check in ALL:
        for cause in check.follows_from:
            assert rank.index(by_id[cause].severity) <= rank.index(check.severity), check.id
