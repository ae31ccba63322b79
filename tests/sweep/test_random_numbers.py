"""Random numbers are the same in each run of a sweep, and others in each event and with another seed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from program_internals import NUMBERS
from sweeping import Deploy, each_run

from pytest_scf_async import Function, ScfRuntime, ScfSettings

pytestmark = [pytest.mark.interpreter, pytest.mark.usefixtures("without_second_stops")]

DRAWS = """
    import os, random, secrets, tempfile, threading, uuid
    from os import urandom
    from random import SystemRandom, choice
    AT_IMPORT = uuid.uuid4().hex

    def in_child():
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, (os.urandom(8).hex() + " " + str(random.random())).encode())
            os._exit(0)
        os.wait()
        return os.read(reader, 100).decode().split()

    def in_thread():
        found = []
        thread = threading.Thread(target=lambda: found.append(os.urandom(8).hex()))
        thread.start()
        thread.join()
        return found

    def draw():
        with tempfile.NamedTemporaryFile() as file:
            name = os.path.basename(file.name)
        return [
            os.urandom(8).hex(), os.getrandom(8).hex(), urandom(8).hex(), uuid.uuid4().hex, uuid.uuid1().hex,
            secrets.token_hex(8), SystemRandom().random(), random.SystemRandom().getrandbits(64),
            random.random(), random.Random().random(), random.getrandbits(64), choice(range(10**9)), name,
            *in_child(), *in_thread(),
        ]

    def main_handler(event, context):
        drawn = [*draw(), *draw()]
        with open(os.environ["OUT"], "a") as file:
            print([AT_IMPORT, *drawn], file=file)
        return "done"
    """


LINES = DRAWS.strip("\n").splitlines()
BEFORE, BEHIND = (next(at for at, line in enumerate(LINES, 2) if text in line) for text in ("drawn = [*", 'return "do'))
"""Of the draws of an event."""


@pytest.fixture
def scf_settings() -> ScfSettings:
    return ScfSettings(preload=["colorsys"])  # a zygote of its own, which has imported nothing ahead


@contextmanager
def without_random_at_first(code: Path, of_run: int) -> Iterator[None]:
    """The first run imports ``random`` itself, as one that was forked before; the others have it ahead."""
    like_a_module = code / "random.txt"
    if of_run == 0:
        like_a_module.touch()
    yield
    like_a_module.unlink(missing_ok=True)


def test_they_are_the_same_in_each_run_and_others_in_each_event(
    scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path
) -> None:
    runs: list[list[Any]] = []

    def each(run: Any) -> Iterator[dict[str, str]]:
        with without_random_at_first(tmp_path / "code", len(runs)):
            yield {"OUT": str(run.path / "drawn")}
        lines = (run.path / "drawn").read_text(encoding="utf-8").splitlines()
        runs.append([json.loads(line.replace("'", '"')) for line in lines])
        run.observe(events=len(run.events) >= 1)

    sweep = scf_runtime.sweep(
        deployed(DRAWS),
        each_run=each,
        how="forced",
        include=[f"job.py:{BEFORE}#1", f"job.py:{BEHIND}#1"],
        ignore="drawn",
    )
    assert sweep.failures == []
    (of_first,), (with_other_ids,), (made_again,), (before,), (behind, next_one) = runs
    assert of_first == made_again == behind
    assert next_one == before, "it draws the same wherever the event before was interrupted"
    numbers = [*of_first, *next_one, *with_other_ids]
    assert len(set(numbers)) == len(numbers), "none comes twice, in other events or with other ids"


def test_random_goes_on_from_where_user_code_has_seeded_it(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import os, random, signal, time
        random.seed(7)
        stopping = False
        def stop(*_):
            global stopping
            stopping = True
        signal.signal(signal.SIGTERM, stop)
        def main_handler(event, context):
            global stopping
            time.sleep(1)
            with open(os.environ["OUT"] + "/drawn", "a") as file:
                print(random.random(), file=file)
            was, stopping = stopping, False
            return "stopped" if was else "done"
        """
    )
    runs = []

    def each(run: Any) -> Iterator[dict[str, str]]:
        yield {"OUT": str(run.path)}
        runs.append([float(line) for line in (run.path / "drawn").read_text(encoding="utf-8").splitlines()])

    sweep = scf_runtime.sweep(function, each_run=each, how="graceful", include="wait#1")

    assert [run.cold for run in sweep.runs] == [False, True]
    first, second = (seeded := random.Random(7)).random(), seeded.random()
    assert runs[2:4] == [[first, second], [first, first]]  # a cold start seeds it again


NAMES_FILES = """
    import os
    def main_handler(event, context):
        out = os.environ["OUT"]
        while len(os.listdir(out)) < 3:
            open(os.path.join(out, os.urandom(4).hex()), "x").close()
    """


def test_a_sweep_that_begins_with_files_of_an_earlier_run_draws_others(
    scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path
) -> None:
    function, numbers = deployed(NAMES_FILES), count()

    def names_of(first: list[str]) -> tuple[list[set[str]], Any]:
        """The files that each run has made, after the *first* ones, and the sweep."""
        found = []

        def each(run: Any) -> Iterator[dict[str, str]]:
            for name in first:
                (run.path / name).touch()
            (run.path / "port").write_text(str(next(numbers)))  # a number is another one in each run, or sweep
            yield {"OUT": str(run.path)}
            (run.path / "port").unlink()
            found.append({path.name for path in run.path.iterdir()} - set(first))
            run.observe(made=len(list(run.path.iterdir())))

        sweep = scf_runtime.sweep(function, each_run=each, how="forced", ignore="[0-9a-f]*", include="job.py:4")
        assert sweep.failures == []
        return found, [(run.key, run.kinds) for run in sweep.runs]

    of_first, _ = names_of([])
    left = sorted(of_first[0])[:1]  # what a run has left that was killed
    again, runs = names_of(left)
    assert not again[0] & of_first[0]
    assert again[0] == again[2], "every run of one sweep draws the same"
    assert (again, runs) == names_of(left), "and so does each sweep of the same thing"


# -- what code in C and programs draw ----------------------------------------------------------------------------------

IN_C = """
    import ctypes, os, random, sqlite3, subprocess, sys
    libc = ctypes.CDLL(None, use_errno=True)

    def called(*leading):
        buffer = ctypes.create_string_buffer(8)
        drawn = (libc.syscall if leading else libc.getrandom)(*leading, buffer, ctypes.c_size_t(8), 0)
        assert drawn == 8, ctypes.get_errno()
        return buffer.raw.hex()

    def read(path):
        with open(path, "rb") as file:
            return file.read(8).hex()

    def read_far(path):
        with open(path, "rb", buffering=0) as file:
            os.dup2(file.fileno(), 100)
            block, *others = bytearray(600_000), bytearray(8), bytearray(8)
            assert (file.readinto(block), os.readv(100, others)) == (600_000, 16)
            assert os.pread(100, 8, 0) not in (block[:8], others[0])
            return bytes(block[-8:]).hex(), others[0].hex(), others[1].hex()

    def written_by(*command):
        return subprocess.run(command, capture_output=True, check=True).stdout.hex()

    def in_child():
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, called().encode())
            os._exit(0)
        os.wait()
        return os.read(reader, 100).decode()

    def draw():
        database = sqlite3.connect(":memory:")
        return [
            called(), called(NUMBER), read("/dev/urandom"), read("/dev/random"),
            *read_far("/dev/urandom"),
            database.execute("select hex(randomblob(8))").fetchone()[0],
            in_child(), written_by("head", "-c", "8", "/dev/urandom"),
            written_by(sys.executable, "-c", "import os, uuid; print(uuid.uuid4(), os.urandom(8), hash('text'))"),
            written_by(sys.executable, "-c", GIVEN_AT_EXEC),
        ]

    GIVEN_AT_EXEC = '''if True:
        import ctypes
        getauxval = ctypes.CDLL(None).getauxval
        getauxval.restype = ctypes.c_void_p
        print(ctypes.string_at(getauxval(25), 16).hex())
        '''

    def main_handler(event, context):
        drawn = [*draw(), *draw()]
        with open(os.environ["OUT"], "a") as file:
            print(drawn, file=file)
        return "done"
    """.replace("NUMBER", str(NUMBERS["getrandom"]))


def drawn_in_runs(scf_runtime: ScfRuntime, function: Function, code: Path, *points: str) -> list[list[Any]]:
    """What each run of a sweep with kills at two *points* has written: a list of each event's."""
    runs: list[list[Any]] = []

    def each(run: Any) -> Iterator[dict[str, str]]:
        with without_random_at_first(code, len(runs)):
            yield {"OUT": str(run.path / "drawn")}
        lines = (run.path / "drawn").read_text(encoding="utf-8").splitlines()
        runs.append([json.loads(line.replace("'", '"')) for line in lines])
        run.observe(events=len(run.events) >= 1)

    sweep = scf_runtime.sweep(function, each_run=each, how="forced", include=list(points), ignore="drawn")
    assert sweep.failures == []
    return runs


def are_those_of_events(runs: list[list[Any]]) -> None:
    """The three undisturbed runs, and those that were killed before and behind the draws of the first event."""
    (of_first,), (with_other_ids,), (made_again,), (before,), (behind, next_one) = runs
    assert of_first == made_again == behind
    assert next_one == before, "it draws the same wherever the event before was interrupted"
    numbers = [*of_first, *next_one, *with_other_ids]
    assert len({*numbers}) == len(numbers), "none comes twice, in other events or with other ids"


def test_so_are_those_of_code_in_c_and_of_children(scf_runtime: ScfRuntime, deployed: Deploy, tmp_path: Path) -> None:
    lines = IN_C.strip("\n").splitlines()
    points = [next(at for at, line in enumerate(lines, 2) if text in line) for text in ("drawn = [*", 'return "do')]
    function = deployed(IN_C)
    are_those_of_events(
        drawn_in_runs(scf_runtime, function, tmp_path / "code", *(f"job.py:{line}#1" for line in points))
    )


BASH = """
    sleep 1
    read() { od -An -N8 -tx8 $1 | tr -d ' '; }
    for number in 1 2; do
        words="$words '$(read /dev/urandom)' '$(read /dev/random)' '$(tr -dc a-z < /dev/urandom | head -c 12)'"
        words="$words '$SRANDOM' '$(mktemp -u /tmp/XXXXXXXXXX)' '$(head -c 1000000 /dev/urandom | tail -c 8 | read)'"
    done
    echo "[${words// /,}]" | sed 's/\\[,/[/' >> "$OUT"
    sleep 1
    """
GO = """
    package main
    import (
        "crypto/rand"
        "encoding/hex"
        "encoding/json"
        "os"
        "time"
    )
    func draw() []string {
        data := make([]byte, 8)
        rand.Read(data)
        return []string{hex.EncodeToString(data)}
    }
    func main() {
        time.Sleep(time.Second)
        file, _ := os.OpenFile(os.Getenv("OUT"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
        json.NewEncoder(file).Encode(append(draw(), draw()...))
        time.Sleep(time.Second)
    }
    """


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("job.sh", BASH),
        pytest.param("job.go", GO, marks=pytest.mark.go),
    ],
)
def test_so_are_those_of_programs(scf_runtime: ScfRuntime, tmp_path: Path, name: str, source: str) -> None:
    path = tmp_path / name
    path.write_text(textwrap.dedent(source))
    command = ["bash", str(path)]
    if path.suffix == ".go":
        environment = os.environ | {"GOTOOLCHAIN": "local", "GOPROXY": "off", "CGO_ENABLED": "0", "GO111MODULE": "off"}
        subprocess.run(["go", "build", "-o", tmp_path / "program", path], env=environment, check=True)
        command = [str(tmp_path / "program")]
    function = scf_runtime.deploy_image(command=command, port=-1, timeout=600)
    are_those_of_events(drawn_in_runs(scf_runtime, function, tmp_path, "wait#1", "wait#2"))


def test_a_handler_may_take_its_way_by_such_a_number(scf_runtime: ScfRuntime, deployed: Deploy) -> None:
    function = deployed(
        """
        import os, time
        def main_handler(event, context):
            with open("/dev/urandom", "rb") as file:
                number = int.from_bytes(file.read(4), "big")
            for _ in range(number % 97 + 1):
                time.sleep(1)
            with open(os.environ["OUT"] + "/done", "w") as file:
                file.write("done")
        """
    )
    sweep = scf_runtime.sweep(function, each_run=each_run, how="graceful", points="waits", limit=5)
    sweep.assert_survives()
    assert len(sweep.runs) >= 4


@pytest.mark.parametrize("draws", [False, True])
def test_only_a_handler_whose_code_in_c_draws_is_traced_in_each_run(
    scf_runtime: ScfRuntime, deployed: Deploy, draws: bool
) -> None:
    function = deployed(
        f"""
        import os, random, subprocess, time, uuid
        def main_handler(event, context):
            subprocess.run(["true"], check=True)
            number = random.Random().random(), uuid.uuid4(), os.urandom(8), {"os.open('/dev/urandom', 0)" * draws}
            time.sleep(1)
            with open("/proc/self/status") as status, open(os.environ["OUT"] + "/traced", "a") as file:
                print("TracerPid:\\t0\\n" not in status.read(), file=file)
        """
    )
    runs = []

    def each(run: Any) -> Iterator[dict[str, str]]:
        yield {"OUT": str(run.path)}
        runs.append((run.path / "traced").read_text(encoding="utf-8").split())

    sweep = scf_runtime.sweep(
        function, each_run=each, how="graceful", points="waits", ignore="traced", compares_nothing=True
    )
    assert sweep.failures == []
    (first, *others) = runs
    assert first == ["True"]
    assert others
    assert {traced for run in others for traced in run} == {str(draws)}
