"""The output of supervised programs: all of it is in the log, and a process that keeps it open delays no end."""

from __future__ import annotations

import pytest
from image_support import program
from process_support import assert_reclaimed_for_good, is_gone, user_lines

# once: what the platform does with a program is the same, whatever Python it runs on
pytestmark = pytest.mark.once


LEAVES = program("""
import subprocess

def handle(event, request):
    if event == "setsid":
        orphan = subprocess.Popen(["sleep", "1000"], start_new_session=True).pid
    elif event == "double fork":
        read, write = os.pipe()
        middle = os.fork()
        if middle == 0:
            os.setsid()
            if os.fork() == 0:
                os.write(write, str(os.getpid()).encode())
                os.execvp("sleep", ["sleep", "1000"])
            os._exit(0)
        os.waitpid(middle, 0)
        orphan = os.read(read, 100).decode()
    elif event == "nohup":
        orphan = subprocess.Popen(["nohup", "sleep", "1000"]).pid
    elif event == "writes on":
        orphan = subprocess.Popen(["sh", "-c", "while true; do echo more; done"], start_new_session=True).pid
    else:
        read, write = os.pipe()
        subprocess.run(["sh", "-c", "sleep 1000 >&2 & echo $!"], stdout=write, check=True)
        orphan = os.read(read, 100).decode()
    print("orphan", int(orphan), flush=True)
    os._exit(0)
""")
WRITES = program("""
def handle(event, request):
    for number in range(event["lines"]):
        print("line", number)
    sys.stdout.write("and a part of one")
    sys.stdout.flush()
    if event["waits"]:
        time.sleep(event["waits"])
    os._exit(3)
""")


@pytest.mark.parametrize("mode", ["setsid", "double fork", "shell in the background", "nohup", "writes on"])
def test_an_orphan_that_keeps_the_output_open_does_not_hang_the_end_and_does_not_survive(deploy_image, mode):
    event = deploy_image(LEAVES).invoke_async(mode).wait()

    orphan = next(int(line.split()[1]) for line in user_lines(event) if line.startswith("orphan"))
    assert (event.status, event.status_code) == ("FAILED", 439)
    assert is_gone(orphan)
    assert_reclaimed_for_good(event, "process exited")


@pytest.mark.parametrize("waits", [0, 1], ids=["at once", "after a wait"])
def test_all_that_a_program_wrote_before_its_end_is_in_the_log(deploy_image, waits):
    event = deploy_image(WRITES).invoke_async({"lines": 20_000, "waits": waits}).wait()

    assert event.status_code == 439
    assert user_lines(event) == [*(f"line {number}" for number in range(20_000)), "and a part of one"]


@pytest.mark.parametrize("ends", ["kill -9 $$", "exit 4", "exec true", "kill -TERM $$"])
def test_the_last_line_of_a_shell_is_there_however_it_ends(deploy_image, ends):
    event = deploy_image(f"echo first; sleep 5; echo last; {ends}\n", command=("sh", "app.py")).invoke_async().wait()

    assert (event.status_code, user_lines(event)) == (439, ["first", "last"])
    assert event.duration.total_seconds() == 5


@pytest.mark.nodejs
def test_what_node_wrote_before_it_exits_is_there(deploy_image):
    source = """
        for (let number = 0; number < 5000; number++) console.log("line", number);
        setTimeout(() => { console.log("last"); process.exit(2); }, 5000);
    """
    event = deploy_image(source, command=("node", "app.py")).invoke_async().wait()

    assert event.status_code == 439
    assert user_lines(event) == [*(f"line {number}" for number in range(5000)), "last"]


@pytest.mark.parametrize("elsewhere", ['echo "row 1" > "$FILE"', 'row=$(echo "row 1")', 'echo "row 1" | cat > "$FILE"'])
def test_what_a_shell_writes_to_a_file_or_a_pipe_of_its_own_is_no_line_of_the_log(scf_runtime, tmp_path, elsewhere):
    script = tmp_path / "job.sh"
    script.write_text(f'#!/bin/sh\n{elsewhere}\nsleep 5\necho "row 1"\nsleep 5\n')
    script.chmod(0o755)
    function = scf_runtime.deploy_image(command=[script], port=-1, environment={"FILE": str(tmp_path / "rows")})
    event = function.invoke_async()

    event.wait_for_log("row 1")

    assert (scf_runtime.clock.now - event.started_at).total_seconds() == 5
    event.terminate()
