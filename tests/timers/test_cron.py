"""Cron expressions as the platform writes them: which times they name, and what they may not have."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random

import pytest

from pytest_scf_async.timers.cron import Cron

# once: a grammar, and arithmetic with dates
pytestmark = pytest.mark.once

NOW = datetime(2026, 1, 1)  # a Thursday


def first(text: str, count: int = 1, after: datetime = NOW) -> list[str]:
    """The first times of *text* behind *after*."""
    found = []
    when: datetime | None = after
    while len(found) < count and (when := Cron(text).after(when)) is not None:
        found.append(when.isoformat(" "))
    return found


@pytest.mark.parametrize(
    ("text", "times"),
    [
        # the examples of document 9708
        ("*/5 * * * * * *", ["2026-01-01 00:00:05", "2026-01-01 00:00:10", "2026-01-01 00:00:15"]),
        ("0 15 10 1 * * *", ["2026-01-01 10:15:00", "2026-02-01 10:15:00", "2026-03-01 10:15:00"]),
        ("0 15 10 * * MON-FRI *", ["2026-01-01 10:15:00", "2026-01-02 10:15:00", "2026-01-05 10:15:00"]),
        ("0 0 10,14,16 * * * *", ["2026-01-01 10:00:00", "2026-01-01 14:00:00", "2026-01-01 16:00:00"]),
        ("0 */30 9-17 * * * *", ["2026-01-01 09:00:00", "2026-01-01 09:30:00", "2026-01-01 10:00:00"]),
        ("0 0 12 * * WED *", ["2026-01-07 12:00:00", "2026-01-14 12:00:00"]),
        # its words about / are those of the minutes 1, 11, 21, …
        ("0 1/10 * * * * *", ["2026-01-01 00:01:00", "2026-01-01 00:11:00", "2026-01-01 00:21:00"]),
        ("0 0 0 */1 * * *", ["2026-01-02 00:00:00", "2026-01-03 00:00:00"]),
        ("0 0 0 1-10/4 * * *", ["2026-01-05 00:00:00", "2026-01-09 00:00:00", "2026-02-01 00:00:00"]),
        # a day that a month does not have
        ("0 0 0 31 * * *", ["2026-01-31 00:00:00", "2026-03-31 00:00:00", "2026-05-31 00:00:00"]),
        ("0 0 0 29 FEB * *", ["2028-02-29 00:00:00", "2032-02-29 00:00:00"]),
        ("0 0 0 30 2 * *", []),
        # day and week: both are in effect, unless one is not specified
        ("0 0 0 13 * FRI *", ["2026-01-02 00:00:00", "2026-01-09 00:00:00", "2026-01-13 00:00:00"]),
        ("0 0 0 13 * ? *", ["2026-01-13 00:00:00", "2026-02-13 00:00:00"]),
        ("0 0 0 ? * 0 *", ["2026-01-04 00:00:00", "2026-01-11 00:00:00"]),
        ("0 0 0 ? * ? *", ["2026-01-02 00:00:00", "2026-01-03 00:00:00"]),
        # the special characters of the page in Chinese
        ("0 0 0 L * ? *", ["2026-01-31 00:00:00", "2026-02-28 00:00:00"]),
        ("0 0 0 ? * 5L *", ["2026-01-30 00:00:00", "2026-02-27 00:00:00"]),
        ("0 0 0 10W * ? *", ["2026-01-09 00:00:00", "2026-02-10 00:00:00"]),  # a Saturday, then a Tuesday
        ("0 0 0 1W AUG ? *", ["2026-08-03 00:00:00"]),  # a Saturday: it stays in the month
        ("0 0 0 31W 5 ? *", ["2026-05-29 00:00:00"]),  # a Sunday: the same
        ("0 0 0 31W * ? *", ["2026-01-30 00:00:00", "2026-03-31 00:00:00"]),
        ("0 0 0 LW * ? *", ["2026-01-30 00:00:00", "2026-02-27 00:00:00"]),
        ("0 0 0 ? * 5#3 *", ["2026-01-16 00:00:00", "2026-02-20 00:00:00"]),
        ("0 0 0 ? * 4#5 *", ["2026-01-29 00:00:00", "2026-04-30 00:00:00"]),
        ("0 0 0 1,L * ? *", ["2026-01-31 00:00:00", "2026-02-01 00:00:00"]),
        # the year
        ("0 0 0 1 1 * 2027,2030", ["2027-01-01 00:00:00", "2030-01-01 00:00:00"]),
        ("0 0 0 1 1 * 2025", []),
        ("59 59 23 31 12 * 2099", ["2099-12-31 23:59:59"]),
        # five fields, as older ones have
        ("*/2 * * * *", ["2026-01-01 00:02:00", "2026-01-01 00:04:00"]),
        ("0 2 * * 1", ["2026-01-05 02:00:00", "2026-01-12 02:00:00"]),
        ("  0   0 2 * * *  * ", ["2026-01-01 02:00:00"]),
    ],
)
def test_the_times_that_it_names(text: str, times: list[str]) -> None:
    assert first(text, max(len(times), 1)) == times


def test_the_first_time_is_behind_the_present_one_and_no_part_of_a_second_counts() -> None:
    assert first("0 0 0 * * * *") == ["2026-01-02 00:00:00"]
    assert first("0 0 0 * * * *", after=NOW - timedelta(microseconds=1)) == ["2026-01-01 00:00:00"]
    assert first("30 59 * * * * *", after=NOW + timedelta(seconds=30, microseconds=5)) == ["2026-01-01 00:59:30"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it has 0 fields, and must have 7 (second minute hour day month week year, as in '0 0 2 * * * *'), or 5"),
        ("*/2****", "it has 1 field, and must have 7"),
        ("*/5 * * * * *", "it has 6 fields, and must have 7"),
        ("60 * * * * * *", "its second has '60', and may have 0 to 59, alone or as in 1,2 1-2 */2 1/2"),
        ("0 60 * * * * *", "its minute has '60'"),
        ("0 0 24 * * * *", "its hour has '24'"),
        ("0 0 0 0 * * *", "its day has '0', and may have 1 to 31"),
        ("0 0 0 32 * * *", "*/2 1/2, or ? L 10W LW"),
        ("0 0 0 * 13 * *", "its month has '13', and may have 1 to 12 or JAN to DEC"),
        ("0 0 0 * * 7 *", "its week has '7', and may have 0 to 6 or SUN to SAT"),
        ("0 0 0 * * MONDAY *", "its week has 'MONDAY'"),
        ("0 0 0 * * mon *", "its week has 'mon'"),
        ("0 0 0 * MON * *", "its month has 'MON'"),
        ("0 0 0 * * * 1969", "its year has '1969', and may have 1970 to 2099"),
        ("0 0 0 * * * 2100", "its year has '2100'"),
        ("0 0 17-9 * * * *", "its hour has '17-9'"),
        ("0 */0 * * * * *", "its minute has '*/0'"),
        ("0 *-5 * * * * *", "its minute has '*-5'"),
        ("0 1,,2 * * * * *", "its minute has ''"),
        ("0 /5 * * * * *", "its minute has '/5'"),
        ("0 -1 * * * * *", "its minute has '-1'"),
        ("0 ٣ * * * * *", "its minute has '٣'"),
        ("0 ? * * * * *", "its minute has '?'"),
        ("0 0 0 1,? * * *", "its day has '?'"),
        ("0 0 L * * * *", "its hour has 'L'"),
        ("0 0 0 * * L *", "its week has 'L'"),
        ("0 0 0 * * FRIL *", "its week has 'FRIL'"),
        ("0 0 0 * * 5#6 *", "its week has '5#6'"),
        ("0 0 0 32W * * *", "its day has '32W'"),
        ("0 0 0 * * @daily *", "its week has '@daily'"),
    ],
)
def test_what_it_may_not_have(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="it") as refusal:
        Cron(text)
    assert reason in str(refusal.value)


def test_the_times_are_those_of_a_search_second_by_second() -> None:
    random = Random(7)

    def some(least: int, most: int) -> tuple[str, set[int]]:
        start, step = random.randint(least, most), random.choice([1, 2, 7, 15])
        kinds = {
            "*": set(range(least, most + 1)),
            f"{start}": {start},
            f"{start}/{step}": set(range(start, most + 1, step)),
            f"*/{step}": set(range(least, most + 1, step)),
            f"{least},{start}": {least, start},
        }
        text = random.choice([*kinds])
        return text, kinds[text]

    for _ in range(20):
        fields = [some(0, 59), some(0, 59), some(0, 23)]
        texts, allowed = zip(*fields, strict=True)
        when = NOW + timedelta(seconds=random.randrange(86_400))
        found = Cron(f"{' '.join(texts)} * * * *").after(when)
        wanted = when + timedelta(seconds=1)
        while not (wanted.second in allowed[0] and wanted.minute in allowed[1] and wanted.hour in allowed[2]):
            wanted += timedelta(seconds=1)
        assert found == wanted, (texts, when)
