"""What a run found: which reading holds for each case, as text, JSON or JUnit XML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from xml.etree import ElementTree

from .bench import Facts
from .cases import Case, Reading

Outcome = Literal["reading", "unforeseen", "undecided", "pending", "left out"]


def counted(cases: int) -> str:
    """So many *cases*, in words."""
    return "1 case" if cases == 1 else f"{cases} cases"


@dataclass(frozen=True)
class Verdict:
    """What became of one case."""

    case: Case
    outcome: Outcome
    facts: Facts
    detail: str = ""
    """Why there is no reading."""

    @property
    def reading(self) -> Reading | None:
        """The reading that holds."""
        return self.case.reading_of(self.facts) if self.outcome == "reading" else None

    @property
    def decided(self) -> bool:
        """Whether nobody has to check it again: not where it was to be decided and was not."""
        return self.outcome not in ("unforeseen", "undecided")

    def sentence(self) -> str:
        """What became of it."""
        reading = self.reading
        if reading is None:
            shown = f" {json.dumps(self.facts)}" if self.facts else ""
            return f"{self.outcome.upper()}:{shown} {self.detail}".rstrip()
        if reading is self.case.ours:
            return f"{reading.name} ({reading.meaning}); as by default here"
        setting = f"; {reading.setting} gives it here" if reading.setting else "; no setting gives it here"
        return f"{reading.name} ({reading.meaning}); by default it is {self.case.ours.name} here{setting}"


@dataclass(frozen=True)
class Report:
    """The verdicts of a run, and where it ran."""

    endpoint: str
    region: str
    begun: str
    verdicts: Sequence[Verdict]

    @property
    def exit_code(self) -> int:
        """0 where every case was decided that was to be, else 1."""
        return 0 if all(verdict.decided for verdict in self.verdicts) else 1

    def text(self) -> str:
        """For people."""
        lines = [f"SCF at {self.endpoint}, region {self.region}, {self.begun}", ""]
        for verdict in self.verdicts:
            lines += [f"{verdict.case.id}: {verdict.case.question}", f"    {verdict.sentence()}"]
        readings = [verdict.reading for verdict in self.verdicts if verdict.reading]
        ours = sum(verdict.reading is verdict.case.ours for verdict in self.verdicts)
        counts = [f"{ours} as by default here", f"{len(readings) - ours} otherwise"]
        for outcome in ("unforeseen", "undecided", "pending", "left out"):
            number = sum(verdict.outcome == outcome for verdict in self.verdicts)
            counts += [f"{number} {outcome}"] if number else []
        return "\n".join([*lines, "", f"{counted(len(self.verdicts))}: {', '.join(counts)}", ""])

    def json(self) -> str:
        """For programs, and what to send us."""
        cases = [
            {
                "id": verdict.case.id,
                "question": verdict.case.question,
                "outcome": verdict.outcome,
                "reading": verdict.reading.name if verdict.reading else None,
                "meaning": verdict.reading.meaning if verdict.reading else None,
                "default_here": verdict.case.ours.name,
                "is_default_here": verdict.reading is verdict.case.ours,
                "setting": (verdict.reading.setting or None) if verdict.reading else None,
                "facts": verdict.facts,
                "detail": verdict.detail,
            }
            for verdict in self.verdicts
        ]
        content = {"endpoint": self.endpoint, "region": self.region, "begun": self.begun, "cases": cases}
        return json.dumps(content, indent=1) + "\n"

    def junit(self) -> str:
        """For CI: a case passes with any reading; its properties say which."""
        problems = [verdict.outcome for verdict in self.verdicts]
        suite = ElementTree.Element(
            "testsuite",
            name="conformance",
            tests=str(len(problems)),
            failures=str(problems.count("unforeseen")),
            errors=str(problems.count("undecided")),
            skipped=str(problems.count("pending") + problems.count("left out")),
        )
        tags = {"unforeseen": "failure", "undecided": "error", "pending": "skipped", "left out": "skipped"}
        for verdict in self.verdicts:
            case = ElementTree.SubElement(suite, "testcase", classname="conformance", name=verdict.case.id)
            reading = verdict.reading
            if reading is None:
                ElementTree.SubElement(case, tags[verdict.outcome], message=verdict.sentence())
            else:
                properties = ElementTree.SubElement(case, "properties")
                values = {"reading": reading.name, "default_here": verdict.case.ours.name, "setting": reading.setting}
                for name, value in values.items():
                    ElementTree.SubElement(properties, "property", name=name, value=value)
            ElementTree.SubElement(case, "system-out").text = f"{verdict.case.question} {verdict.sentence()}"
        ElementTree.indent(suite)
        return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


FORMATS: Final = {"text": Report.text, "json": Report.json, "junit": Report.junit}
