"""What GitHub and GitLab read: valid by their schemas, safe, and true of the project. No network is needed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# once: files that another machine reads
pytestmark = pytest.mark.once

PROJECT = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted(each for each in (PROJECT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if each.name != "config.yml")
COPIED = PROJECT / "examples" / "ci" / "github.yml"
ACTION = PROJECT / "action.yml"
PAGES = sorted((PROJECT / "docs").glob("**/*.md"))
BLOCK = re.compile(r"^```yaml$.*?^```$", re.DOTALL | re.MULTILINE)
SCHEMAS = {
    "vendor.github-workflows": [*WORKFLOWS, COPIED],
    "custom.github-workflows-require-timeout": [*WORKFLOWS, COPIED],
    "vendor.github-actions": [ACTION],
    "vendor.dependabot": [PROJECT / ".github" / "dependabot.yml"],
    "vendor.github-issue-config": [PROJECT / ".github" / "ISSUE_TEMPLATE" / "config.yml"],
    "vendor.github-issue-forms": FORMS,
    "vendor.gitlab-ci": [PROJECT / "examples" / "ci" / "gitlab.yml"],
}
"""The schemas that check-jsonschema has with it, and the files of each."""
UNSAFE = """\
on: pull_request_target
jobs:
  one:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: echo ${{ github.event.pull_request.title }}
"""
USES = re.compile(r"uses: +(?P<action>\S+)@(?P<ref>\S+)(?: # (?P<version>v\d+\.\d+\.\d+))?$", re.MULTILINE)


def read(path: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML  # check-jsonschema needs it; not all environments of these tests have that

    found: dict[str, Any] = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    return found


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)


def zizmor(*files: Path) -> subprocess.CompletedProcess[str]:
    return run(
        Path(sys.executable).with_name("zizmor"), "--offline", "--no-progress", "--no-config", "--color=never", *files
    )


def project() -> dict[str, Any]:
    import tomllib  # from Python 3.11 on

    found: dict[str, Any] = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def pythons() -> list[str]:
    """The versions that the classifiers name, oldest first."""
    prefix = "Programming Language :: Python :: 3."
    return [f"3.{each.removeprefix(prefix)}" for each in project()["classifiers"] if each.startswith(prefix)]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_are_valid_by_their_schemas(schema: str, tmp_path: Path) -> None:
    check = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema)
    found = run(*check, *SCHEMAS[schema])
    assert found.returncode == 0, found.stdout
    broken = tmp_path / "broken.yml"
    text = SCHEMAS[schema][0].read_text(encoding="utf-8")
    broken.write_text(f"{text}\nno_such_key: {{script: 1}}\njobs: {{a: {{timeout-minutes: x}}}}\n", encoding="utf-8")
    assert run(*check, broken).returncode != 0


def test_every_file_of_them_has_a_schema() -> None:
    there = {*(PROJECT / ".github").rglob("*.yml"), *(PROJECT / "examples" / "ci").glob("*.yml"), ACTION}
    assert there == {file for files in SCHEMAS.values() for file in files}


def test_zizmor_finds_nothing_in_them_and_what_is_unsafe_elsewhere(tmp_path: Path) -> None:
    found = zizmor(PROJECT / ".github", ACTION, COPIED)
    assert (found.returncode, found.stdout[:20]) == (0, "No findings to repor"), found.stdout
    (tmp_path / "unsafe.yml").write_text(UNSAFE, encoding="utf-8")
    unsafe = zizmor(tmp_path / "unsafe.yml").stdout
    for audit in ("template-injection", "dangerous-triggers", "unpinned-uses", "artipacked"):
        assert f"[{audit}]" in unsafe


def test_each_action_is_pinned_by_its_hash_and_the_same_everywhere() -> None:
    pins: dict[str, set[tuple[str, str]]] = {}
    for file in (*WORKFLOWS, COPIED, ACTION, *PAGES):
        text = file.read_text(encoding="utf-8")
        if file in PAGES:
            text = "\n".join(BLOCK.findall(text))
        found = list(USES.finditer(text))
        assert len(found) == text.count("uses: "), file
        for each in found:
            assert re.fullmatch(r"[0-9a-f]{40}", each["ref"]), each[0]
            assert each["version"], f"{each[0]}: which version is that?"
            pins.setdefault(each["action"], set()).add((each["ref"], each["version"]))
    assert {action: len(versions) for action, versions in pins.items()} == dict.fromkeys(pins, 1)


@pytest.mark.parametrize("file", [*WORKFLOWS, COPIED], ids=lambda file: file.name)
def test_a_workflow_may_do_nothing_but_what_its_jobs_say(file: Path) -> None:
    workflow = read(file)
    assert workflow["permissions"] == {}
    assert all(job["permissions"] for job in workflow["jobs"].values())


def test_only_publishing_gets_a_token_and_it_runs_nothing_of_the_project() -> None:
    jobs = read(PROJECT / ".github" / "workflows" / "release.yml")["jobs"]
    assert [name for name, job in jobs.items() if "id-token" in job["permissions"]] == ["publish"]
    assert [step["uses"].partition("@")[0] for step in jobs["publish"]["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]
    assert jobs["publish"]["steps"][-1]["with"] == {"attestations": True}


def test_ci_runs_the_pythons_of_the_classifiers() -> None:
    oldest, *between, newest = pythons()
    assert project()["requires-python"] == f">={oldest}"
    legs = read(PROJECT / ".github" / "workflows" / "ci.yml")["jobs"]["leg"]["strategy"]["matrix"]["include"]
    of_legs = {leg["leg"]: leg["pythons"].split() for leg in legs}
    (main,) = of_legs["once"]
    others = {f"interpreter-{version}": [version] for version in between if version != main}
    assert {leg: versions for leg, versions in of_legs.items() if re.search(r"-3\.\d+$", leg)} == {
        f"oldest-{oldest}": [oldest],
        **others,
        f"full-{newest}": [newest],
    }
    assert of_legs["wheel"] == [oldest, newest]
    assert {tuple(found) for leg, found in of_legs.items() if leg != "wheel" and "-3." not in leg} == {(main,)}


def test_ci_runs_every_leg() -> None:
    text = (PROJECT / ".ci" / "run").read_text(encoding="utf-8")
    (versions,) = re.findall(r"^VERSIONS=\((.+)\)$", text, re.MULTILINE)
    assert versions.split() == pythons()
    (names,) = re.findall(r"^ +(check \| .+)\) \"leg_", text, re.MULTILINE)
    legs = read(PROJECT / ".github" / "workflows" / "ci.yml")["jobs"]["leg"]["strategy"]["matrix"]["include"]
    assert {leg["leg"] for leg in legs if "-3." not in leg["leg"]} == set(names.split(" | "))


def test_addresses_are_those_of_the_project() -> None:
    source = project()["urls"]["Source"]
    for file in (PROJECT / ".github").rglob("*"):
        found = (
            re.findall(r"https://github\.com/[\w-]+/[\w-]+", file.read_text(encoding="utf-8")) if file.is_file() else []
        )
        assert set(found) <= {source}, file
