"""Jobs that go on from what they have left, each in a right and in a wrong form: the wrong one has a window of 30 ms.

Each is given the directory to write to as its only argument, and has done its work when it exits with 0. It has two
rounds: the second one goes on from what the first has left, and a third would be the same again.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple


class Program(NamedTuple):
    """A program in some language."""

    ending: str
    """Of its file: ``py``, ``sh``, ``js``, ``go`` or ``c``."""
    right: str
    wrong: str

    def command(self, directory: Path, form: str) -> list[str]:
        """Write it to *directory*, and compile it: the command that starts it there."""
        source = directory / f"job.{self.ending}"
        source.write_text(getattr(self, form))
        if self.ending == "go":
            settings = ["GOTOOLCHAIN=local", "GOPROXY=off", "CGO_ENABLED=0", "GO111MODULE=off"]
            subprocess.run(["env", *settings, "go", "build", "-o", directory / "job", source], check=True)
        elif self.ending == "c":
            subprocess.run(["cc", "-o", directory / "job", source], check=True)
        else:
            starts = {"py": "python", "sh": "bash", "js": "node"}
            return [starts[self.ending], source.name, "{path}"]
        return ["./job", "{path}"]


_ROUNDS = """
import os, sys, time
from pathlib import Path
out = Path(sys.argv[1])
position = out / "position"

def load():
    return int(position.read_text()) if position.exists() else 0
"""
_LOOP = """
for number in range(load(), 2):
    time.sleep(0.01)
    (out / f"row-{number}").write_text(f"row {number}\\n")
    save(number + 1)
"""
_SAVED_WHOLE = """
def save(number):
    new = out / "position.new"
    new.write_text(str(number))
    os.replace(new, position)
"""
_SAVED_WHOLE_AND_SYNCED = """
def save(number):
    new = out / "position.new"
    with open(new, "w") as file:
        file.write(str(number))
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, position)
"""
_SAVED_IN_PLACE = """
def save(number):
    with open(position, "w") as file:
        time.sleep(0.03)
        file.write(str(number))
"""
_RENAMED_EARLY = """
def save(number):
    with open(out / "position.new", "w") as file:
        os.replace(out / "position.new", position)
        time.sleep(0.03)
        file.write(str(number))
        file.flush()
        os.fsync(file.fileno())
"""
_NEVER_TORN = """
def load():
    try:
        return int(position.read_text())
    except (FileNotFoundError, ValueError):
        return 0
"""
_SAVED_FIRST = """
for number in range(load(), 2):
    save(number + 1)
    time.sleep(0.03)
    (out / f"row-{number}").write_text(f"row {number}\\n")
"""
_PICKLES = """
import os, pickle, sys, time
from pathlib import Path
out = Path(sys.argv[1])
saved = out / "rows.pickle"
rows = pickle.loads(saved.read_bytes()) if saved.exists() else []
while len(rows) < 2:
    time.sleep(0.01)
    rows.append(f"row {len(rows)}")
"""
_ZIPS = """
import os, sys, time, zipfile
from pathlib import Path
out = Path(sys.argv[1])
archive = out / "rows.zip"
names = zipfile.ZipFile(archive).namelist() if archive.exists() else []
"""
_APPENDS = """
import os, sys, time
from pathlib import Path
rows = Path(sys.argv[1], "rows")
lines = rows.read_bytes().split(b"\\n") if rows.exists() else [b""]
"""


def _sqlite(mode: str) -> Program:
    begins = f"""
import sqlite3, sys, time
database = sqlite3.connect(f"{{sys.argv[1]}}/rows.db", isolation_level=None)
database.execute("PRAGMA journal_mode={mode}")
database.execute("PRAGMA synchronous=OFF")
database.execute("CREATE TABLE IF NOT EXISTS rows (number INTEGER, text)")
database.execute("CREATE TABLE IF NOT EXISTS position (number INTEGER)")
"""
    loop = """
(first,) = database.execute("SELECT coalesce(max(number), 0) FROM position").fetchone()
for number in range(first, 2):
    time.sleep(0.01)
    {begin}
    database.execute("INSERT INTO position VALUES (?)", (number + 1,))
    time.sleep({seconds})
    database.execute("INSERT INTO rows VALUES (?, ?)", (number, "row"))
    {end}
"""
    right = loop.format(begin='database.execute("BEGIN")', seconds=0.01, end='database.execute("COMMIT")')
    return Program("py", begins + right, begins + loop.format(begin="", seconds=0.03, end=""))


_BASH = """
out=$1
page=$(cat "$out/page" 2> /dev/null || echo 0)
while [ "$page" -lt 2 ]; do
    sleep 0.01
    echo "row $page" > "$out/row-$page"
    page=$((page + 1))
    {save}
done
"""
_NODE = """
const fs = require("fs");
const out = process.argv[2];
const wait = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
const position = out + "/position";
for (let n = fs.existsSync(position) ? JSON.parse(fs.readFileSync(position)).next : 0; n < 2; n++) {
    wait(10);
    fs.writeFileSync(`${out}/row-${n}`, `row ${n}\\n`);
    SAVE
}
"""
_GO = """
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func main() {
	position := os.Args[1] + "/position"
	next := 0
	if text, err := os.ReadFile(position); err == nil {
		next, err = strconv.Atoi(string(text))
		check(err)
	}
	for ; next < 2; next++ {
		time.Sleep(10 * time.Millisecond)
		check(os.WriteFile(fmt.Sprintf("%s/row-%d", os.Args[1], next), []byte("row\\n"), 0o644))
		name := NAME
		file, err := os.Create(name)
		check(err)
		time.Sleep(30 * time.Millisecond)
		_, err = file.WriteString(strconv.Itoa(next + 1))
		check(err)
		check(file.Close())
		RENAME
	}
}
"""
_C = """
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int next = 0;
    FILE *file;
    if (argc != 2 || chdir(argv[1]))
        return 2;
    file = fopen("position", "r");
    if (file) {
        if (fscanf(file, "%d", &next) != 1)
            return 3;
        fclose(file);
    }
    for (; next < 2; next++) {
        char name[20];
        usleep(10000);
        snprintf(name, sizeof name, "row-%d", next);
        file = fopen(name, "w");
        fprintf(file, "row\\n");
        fclose(file);
        file = fopen(NAME, "w");
        usleep(30000);
        fprintf(file, "%d", next + 1);
        fclose(file);
        RENAME
    }
    return 0;
}
"""
_PIPELINE = """
out=$1
produce() { for number in 0 1; do echo "row $number"; sleep 0.02; done; }
[ -e "$out/rows" ] || produce | sed -u "s/row/line/" > "$out/{name}" || exit 1
{then}
"""
_CHILDREN = """
out=$1
for number in 0 1; do
    [ -e "$out/done-$number" ] && continue
    sh -c 'sleep 0.03; echo row > "$1"' child "$out/row-$number" {and}
    : > "$out/done-$number"
    wait
done
"""

PROGRAMS: dict[str, Program] = {
    "in place": Program("py", _ROUNDS + _NEVER_TORN + _SAVED_IN_PLACE + _LOOP, _ROUNDS + _SAVED_IN_PLACE + _LOOP),
    "renamed": Program("py", _ROUNDS + _SAVED_WHOLE + _LOOP, _ROUNDS + _SAVED_WHOLE + _SAVED_FIRST),
    "renamed and synced": Program("py", _ROUNDS + _SAVED_WHOLE_AND_SYNCED + _LOOP, _ROUNDS + _RENAMED_EARLY + _LOOP),
    **{f"SQLite {mode}": _sqlite(mode) for mode in ("DELETE", "TRUNCATE", "PERSIST", "WAL")},
    "appended": Program(
        "py",
        f"""{_APPENDS}
with open(rows, "ab") as file:
    file.truncate(sum(len(line) + 1 for line in lines[:-1]))
    for number in range(len(lines) - 1, 2):
        file.write(f"row {{number}}".encode())
        file.flush()
        time.sleep(0.01)
        file.write(b"\\n")
        file.flush()
""",
        f"""{_APPENDS}
with open(rows, "ab") as file:
    for number in range(len(lines) - 1, 2):
        file.write(f"row {{number}}".encode())
        file.flush()
        time.sleep(0.03)
        file.write(b"\\n")
        file.flush()
""",
    ),
    "zip": Program(
        "py",
        f"""{_ZIPS}
while len(names) < 2:
    time.sleep(0.01)
    names.append(f"row-{{len(names)}}")
    with zipfile.ZipFile(out / "new.zip", "w") as file:
        for name in names:
            file.writestr(zipfile.ZipInfo(name), "row")
    os.replace(out / "new.zip", archive)
""",
        f"""{_ZIPS}
for number in range(len(names), 2):
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(zipfile.ZipInfo(f"row-{{number}}"), "row")
        time.sleep(0.03)
""",
    ),
    "pickle": Program(
        "py",
        f"""{_PICKLES}
    (out / "rows.new").write_bytes(pickle.dumps(rows))
    os.replace(out / "rows.new", saved)
""",
        f"""{_PICKLES}
    with open(saved, "wb") as file:
        time.sleep(0.03)
        pickle.dump(rows, file)
""",
    ),
    "bash": Program(
        "sh",
        _BASH.replace("{save}", 'echo "$page" > "$out/new"; mv "$out/new" "$out/page"'),
        _BASH.replace("{save}", '{ sleep 0.03; echo "$page"; } > "$out/page"'),
    ),
    "Node.js": Program(
        "js",
        _NODE.replace(
            "SAVE",
            'fs.writeFileSync(out + "/new", JSON.stringify({next: n + 1})); fs.renameSync(out + "/new", position);',
        ),
        _NODE.replace(
            "SAVE",
            'const file = fs.openSync(position, "w"); wait(30); '
            "fs.writeSync(file, JSON.stringify({next: n + 1})); fs.closeSync(file);",
        ),
    ),
    "Go": Program(
        "go",
        _GO.replace("RENAME", "check(os.Rename(name, position))").replace("NAME", 'os.Args[1] + "/new"'),
        _GO.replace("RENAME", "").replace("NAME", "position"),
    ),
    "C": Program(
        "c",
        _C.replace("RENAME", 'rename("new", "position");').replace("NAME", '"new"'),
        _C.replace("RENAME", "").replace("NAME", '"position"'),
    ),
    "pipeline": Program(
        "sh",
        _PIPELINE.replace("{name}", "new").replace("{then}", '[ -e "$out/rows" ] || mv "$out/new" "$out/rows"'),
        _PIPELINE.replace("{name}", "rows").replace("{then}", ""),
    ),
    "children": Program("sh", _CHILDREN.replace("{and}", ""), _CHILDREN.replace("{and}", "&")),
}
