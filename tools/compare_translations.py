"""Compares the pages in Chinese with the English ones: headings, code blocks, links, and what has changed since.

Each of two such pages links the other one, as a reader comes to either of them first.
Each section of a Chinese page has a hash below its heading, ``<!-- of: 1a2b3c4d -->``: that of the English section
which it translates. What is generated into a page is not part of it, as a tool writes that into both.
Run: python tools/compare_translations.py [--write PAGE [HEADING …]] [--root DIRECTORY]
``--write docs/zh/add-it.md Layers`` notes the hash of a section that a person has just translated, by its English
heading; without a heading those of all sections of the page.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

HASH = re.compile(r"<!-- of: (\w+) -->\n")
GENERATED = re.compile(r"(<!-- \[[^]]+\] -->).*?(<!-- \[end\] -->)", re.DOTALL)
BLOCK = re.compile(r"^(?:<!-- not run: [^\n]+ -->\n)?```.*?^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Section:
    """A heading of a page with what is below it, up to the next heading of any level."""

    level: int
    heading: str
    text: str

    @property
    def blocks(self) -> list[str]:
        """Its blocks of code, with what says that one is not run."""
        return BLOCK.findall(self.text)

    @property
    def hash(self) -> str:
        """The first 8 digits of the SHA-256 of its text."""
        text = GENERATED.sub(r"\1\2", self.text).strip()
        return sha256(text.encode()).hexdigest()[:8]

    @property
    def noted(self) -> str | None:
        """The hash of the English section below its heading; None without one."""
        found = HASH.match(self.text.partition("\n")[2])
        return found[1] if found else None

    def with_hash(self, new: str) -> str:
        """Its text with *new* as the hash below its heading."""
        head, _, rest = self.text.partition("\n")
        rest = HASH.sub("", rest, count=1) if HASH.match(rest) else rest
        return f"{head}\n<!-- of: {new} -->\n{rest}"


def sections(page: str) -> list[Section]:
    """The sections of the text of *page*; a line of code that begins with # is no heading."""
    hidden = BLOCK.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), page)
    found = [*HEADING.finditer(hidden)]
    ends = [*(each.start() for each in found[1:]), len(page)]
    return [Section(len(each[1]), each[2], page[each.start() : end]) for each, end in zip(found, ends, strict=True)]


def pairs(root: Path) -> dict[Path, Path]:
    """By Chinese page of the project in *root*: the English one."""
    pages = {page: root / "docs" / page.name for page in sorted((root / "docs" / "zh").glob("*.md"))}
    return {root / "README.zh-CN.md": root / "README.md", **pages}


def read(page: Path) -> list[Section]:
    return sections(page.read_text(encoding="utf-8"))


def targets(page: Path) -> set[Path]:
    """The files of the project that *page* links."""
    return {(page.parent / target).resolve() for target in LINK.findall(page.read_text(encoding="utf-8"))}


def links_to_english(page: Path, there: dict[Path, Path]) -> list[str]:
    """Where *page* links an English page that is there in Chinese, each as a sentence; its own English page may be."""
    chinese = {english.resolve(): each for each, english in there.items() if each != page}
    return [f"it links {each.name}, of which there is a page in Chinese" for each in sorted(targets(page) & {*chinese})]


def unlinked(page: Path, english: Path) -> list[str]:
    """Which of a Chinese page and its English one does not link the other one, each as a sentence."""
    there = [] if english.resolve() in targets(page) else [f"it does not link {english.name}, which it translates"]
    return there if page.resolve() in targets(english) else [*there, f"{english.name} does not link it"]


def compared(chinese: list[Section], english: list[Section]) -> list[str]:
    """What is wrong with the sections of a Chinese page, each as a sentence."""
    for number, section in enumerate(english):
        there = chinese[number] if number < len(chinese) else None
        if there is None or there.level != section.level:
            found = "the page ends there" if there is None else f"{'#' * there.level} {there.heading} is there"
            return [f"the section {'#' * section.level} {section.heading} is missing: {found}"]
    if len(chinese) > len(english):
        extra = chinese[len(english)]
        return [f"the section {'#' * extra.level} {extra.heading} is not on the English page"]
    problems = []
    for there, section in zip(chinese, english, strict=True):
        where = f"the section {there.heading} ({section.heading})"
        if there.blocks != section.blocks:
            same = [one == other for one, other in zip(there.blocks, section.blocks, strict=False)]
            number = same.index(False) if False in same else len(same)
            problems.append(f"{where}: its code block {number + 1} is not that of the English section")
        if there.noted is None:
            problems.append(f"{where} has no line <!-- of: {section.hash} --> below its heading")
        elif there.noted != section.hash:
            problems.append(
                f"{where} is a translation of {there.noted}, and the English section is {section.hash} now: "
                "translate what has changed, then note it with --write"
            )
    return problems


def write(page: Path, english: Path, headings: list[str]) -> str:
    """Note the hashes of the English sections in *page*; what is wrong, or nothing."""
    chinese, of = read(page), read(english)
    if [each.level for each in chinese] != [each.level for each in of]:
        return compared(chinese, of)[0]
    unknown = [each for each in headings if each not in {section.heading for section in of}]
    if unknown:
        return f"{english.name} has no section {unknown[0]}; it has: {', '.join(each.heading for each in of)}"
    text = page.read_text(encoding="utf-8")
    before = text[: text.index(chinese[0].text)]
    written = [
        there.with_hash(section.hash) if not headings or section.heading in headings else there.text
        for there, section in zip(chinese, of, strict=True)
    ]
    page.write_text(before + "".join(written), encoding="utf-8")
    return ""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", nargs="+", metavar=("PAGE", "HEADING"), help="note the hashes of its sections")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[1], help="the project's directory")
    given = parser.parse_args(arguments)
    there = pairs(given.root)
    names = {str(page.relative_to(given.root)): page for page in there}
    if given.write:
        name, *headings = given.write
        if name not in names:
            print(f"compare_translations: {name} is no page in Chinese; these are: {', '.join(names)}")
            return 2
        problem = write(names[name], there[names[name]], headings)
        if problem:
            print(f"compare_translations: {name}: {problem}")
        return 1 if problem else 0
    problems = []
    for name, page in names.items():
        english = there[page]
        missing = [each for each in (page, english) if not each.is_file()]
        problems += [f"{each.relative_to(given.root)}: there is no such page" for each in missing]
        if not missing:
            found = compared(read(page), read(english)) + unlinked(page, english) + links_to_english(page, there)
            problems += [f"{name}: {each}" for each in found]
    for problem in problems:
        print(f"compare_translations: {problem}")
    if not problems:
        print(f"compare_translations: {len(names)} pages in Chinese have what the English ones have")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
