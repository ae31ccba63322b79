"""The messages between the processes: what goes over the wire, and which side may send it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from internals import messages

COMMON = messages.CommonMounts(["/tmp", "/dev/shm"], [("/opt/ä", "/opt", False)])
ASSIGN = messages.Assign(
    "/c/index.py",
    "index",
    "main_handler",
    "/c",
    ["/c"],
    messages.MountPlan(COMMON, own=[("/c", "/var/user", True)], layer=None, inodes=[11]),
    known_tmp=["/tmp/a"],
    only_writes=["/tmp/a/run"],
    own_random=True,
    environment={"HOME": "/h"},
    clock_reads_before_wait=None,
    compute_rate=0.5,
    network="loopback",
    deployed_by="conftest.py:3",
    idle_ok=["127.0.0.1:6379"],
    parts={"a.part": {"directory": "/d", "context": None}},
    sees_imports=True,
    memory_limited=False,
    before_init=messages.BeforeInit("x", "/t", "/t/x.py", "x", "f", "[]"),
    program=messages.ProgramConfig(
        path="/bin/a",
        argv=["/bin/a", "-x"],
        directory="/c",
        environment={"A": "1"},
        free_running=True,
        supervised=False,
        script=None,
        module=None,
        speaks="event-invoke",
        port=9000,
        ports=[6379],
        own_network=True,
        cpus=[3],
    ),
    endpoint=messages.EndpointConfig(
        "127.0.0.1", 40001, "/s/a.pem", "/s/b.pem", "/s/n.pem", "/p/cacert.pem", leads=True
    ),
    recorded=False,
    at_effect=messages.AtEffect(7, 28, lasting=True),
    syncs=False,
)

SAMPLES: dict[str, tuple[Any, bytes]] = {
    "spawn": (messages.Spawn(7), b"\x01\x07\x00\x00\x00"),
    "reclaim": (messages.Reclaim(7), b"\x02\x07\x00\x00\x00"),
    "expect": (
        messages.Expect(
            COMMON, [11], ["/c/index.py"], {"HOME": "/h", "Ä": "ö"}, {"a.part": {}}, sees_imports=True, program=True
        ),
        (
            b'\x03\x00\x00\x00\x00{"common": {"tmpfs": ["/tmp", "/dev/shm"], "binds": [["/opt/\\u00e4", "/opt",'
            b' false]]}, "inodes": [11], "code": ["/c/index.py"], "environment": {"HOME": "/h", "\\u00c4"'
            b': "\\u00f6"}, "parts": {"a.part": {}}, "sees_imports": true, "program": true}'
        ),
    ),
    "expect_plain": (
        messages.Expect(None, [], ["/c/index.py"], {}, {}),
        b'\x03\x00\x00\x00\x00{"common": null, "inodes": [], "code": ["/c/index.py"], "environment": {}, "parts": {}}',
    ),
    "probe": (messages.Probe(7), b"\x04\x07\x00\x00\x00"),
    "record": (messages.Record(7), b"\x05\x07\x00\x00\x00"),
    "ready": (
        messages.Ready(4711, ""),
        b"\x01\x00\x00\x00\x00g\x12" + bytes(22),
    ),
    "ready_fallback": (
        messages.Ready(4711, "no page: ä"),
        b"\x01\x00\x00\x00\x00g\x12" + bytes(22) + b"no page: \xc3\xa4",
    ),
    "spawned": (
        messages.Spawned(7, 4712),
        b"\x02\x07\x00\x00\x00h\x12" + bytes(22),
    ),
    "gone": (
        messages.Gone(7, 256, 12345, 1 << 33, "sleep"),
        b"\x03\x07\x00\x00\x00"
        + (256).to_bytes(8, "little")
        + (12345).to_bytes(8, "little")
        + b"\x00\x00\x00\x00\x02\x00\x00\x00sleep",
    ),
    "refused": (
        messages.Refused(7, "why"),
        b"\x04\x07" + bytes(27) + b"why",
    ),
    "no_namespaces": (
        messages.NoNamespaces("why"),
        b"\x05" + bytes(28) + b"why",
    ),
    "not_preloaded": (
        messages.NotPreloaded("why"),
        b"\x06" + bytes(28) + b"why",
    ),
    "not_filtered": (
        messages.NotFiltered("why"),
        b"\x07" + bytes(28) + b"why",
    ),
    "probed": (
        messages.Probed("why"),
        b"\x08" + bytes(28) + b"why",
    ),
    "parked": (
        messages.Parked(1_700_000_000_000_000, (1_600_000_000_000_000, 3, 12), 1, 2, 34, 56, 5, "sleep(1) at a.py:3"),
        (
            b"I\x00\x00\x00\x01\x00@\x1e\x18$\n\x06\x00\x00\x00\xa4\x071\xaf\x05\x00\x03\x00\x00\x00\x00\x00\x00\x00"
            b'\x0c\x00\x00\x00\x00\x00\x00\x00\x01\x00\x02\x00\x00\x00\x00\x00\x00\x00"\x00'
            b"\x00\x008\x00\x00\x00\x00\x00\x00\x00\x05sleep(1) at a.py:3"
        ),
    ),
    "parked_never": (
        messages.Parked(messages.NEVER, (0, 0, 0), 0, 0, 1, 0, 0, ""),
        (
            b"7\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
            b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        ),
    ),
    "gated": (
        messages.Gated("line-3", "line", main=True),
        b'\'\x00\x00\x00\x02{"id":"line-3","at":"line","main":true}',
    ),
    "points": (
        messages.Points([list(messages.Point("both", 7, 2, "/c/index.py", 3, 1, 2, "f", 1, 24))]),
        b'I\x00\x00\x00\x11{"rows":[["both",7,2,"/c/index.py",3,1,2,"f",1,24,"",0,0,false,0,false]]}',
    ),
    "waits_for_others": (
        messages.WaitsForOthers("recv at index.py:3"),
        b'$\x00\x00\x00\x12{"description":"recv at index.py:3"}',
    ),
    "process_waits": (
        messages.ProcessWaits([messages.ProcessWait(5, 12, "sh", "wait4"), messages.ProcessWait(7)]),
        b']\x00\x00\x00\x13{"processes":[{"at_us":5,"pid":12,"name":"sh","call":"wait4"},{"at_us":7,"pid":0,"name":""}]}',
    ),
    "gated_agent": (messages.Gated("init"), b'\x19\x00\x00\x00\x02{"id":"init","main":true}'),
    "signal_entered": (messages.SignalEntered(15), b'\r\x00\x00\x00\x03{"signum":15}'),
    "signal_left": (messages.SignalLeft(15, None), b'\x1b\x00\x00\x00\x04{"signum":15,"raised":null}'),
    "signal_left_raised": (
        messages.SignalLeft(15, "ValueError", ""),
        b'0\x00\x00\x00\x04{"signum":15,"raised":"ValueError","message":""}',
    ),
    "listening": (messages.Listening(15, "SIG_IGN"), b'+\x00\x00\x00\x05{"signum":15,"handler":"SIG_IGN","call":""}'),
    "init_done": (messages.InitDone(None, rss=4096), b'\x18\x00\x00\x00\x06{"fact":null,"rss":4096}'),
    "init_done_failed": (
        messages.InitDone("CODE_NOT_LOADED", "Traceback ä", 4096),
        b'@\x00\x00\x00\x06{"fact":"CODE_NOT_LOADED","trace":"Traceback \\u00e4","rss":4096}',
    ),
    "init_done_agent": (
        messages.InitDone(None, "", 1, 2.5),
        b')\x00\x00\x00\x06{"fact":null,"trace":"","rss":1,"at":2.5}',
    ),
    "result": (
        messages.Result("RETURNED", '"ä"', rss=4096, used_ns=0),
        b'>\x00\x00\x00\x07{"fact":"RETURNED","text":"\\"\\u00e4\\"","rss":4096,"used_ns":0}',
    ),
    "result_too_large": (
        messages.Result("RESULT_TOO_LARGE", rss=1, used_ns=2, size=7),
        b'8\x00\x00\x00\x07{"fact":"RESULT_TOO_LARGE","rss":1,"used_ns":2,"size":7}',
    ),
    "result_raised": (
        messages.Result("RAISED", trace="t", rss=1, at=2.5),
        b'.\x00\x00\x00\x07{"fact":"RAISED","trace":"t","rss":1,"at":2.5}',
    ),
    "result_last": (
        messages.Result("RETURNED", "1", ends=True, rss=1, used_ns=2),
        b'>\x00\x00\x00\x07{"fact":"RETURNED","text":"1","ends":true,"rss":1,"used_ns":2}',
    ),
    "result_content": (
        messages.Result("RETURNED", '"\ufffd"', content="/w=="),
        b'@\x00\x00\x00\x07{"fact":"RETURNED","text":"\\"\\ufffd\\"","rss":0,"content":"/w=="}',
    ),
    "note": (messages.Note(note="index.py:3 in_asyncio"), b' \x00\x00\x00\x08{"note":"index.py:3 in_asyncio"}'),
    "note_record": (
        messages.Note("row", {"n": 1, "text": "ä"}),
        b'/\x00\x00\x00\x08{"name":"row","fields":{"n":1,"text":"\\u00e4"}}',
    ),
    "note_untraced": (
        messages.Note(note="x", untraced=True),
        b'\x1c\x00\x00\x00\x08{"note":"x","untraced":true}',
    ),
    "note_flushed": (messages.Note(flushed=True), b'\x10\x00\x00\x00\x08{"flushed":true}'),
    "note_memory": (
        messages.Note(note="", in_shared_memory="/dev/shm/x"),
        b'+\x00\x00\x00\x08{"note":"","in_shared_memory":"/dev/shm/x"}',
    ),
    "note_tmp": (
        messages.Note(note="uses '/tmp/x'", literal_tmp=True),
        b'+\x00\x00\x00\x08{"note":"uses \'/tmp/x\'","literal_tmp":true}',
    ),
    "note_real": (
        messages.Note(note="runs", has_real_time="gevent"),
        b'(\x00\x00\x00\x08{"note":"runs","has_real_time":"gevent"}',
    ),
    "leased": (
        messages.Leased(1_700_000_000_000_000, 3),
        b"\x0c\x00\x00\x00\t\x00@\x1e\x18$\n\x06\x00\x03\x00\x00\x00",
    ),
    "wrote": (
        messages.Wrote(1_700_000_000_000_000, 3),
        b"\x0c\x00\x00\x00\x10\x00@\x1e\x18$\n\x06\x00\x03\x00\x00\x00",
    ),
    "signals_handled": (messages.SignalsHandled(), b"\x00\x00\x00\x00\n"),
    "terminal": (messages.Terminal("(Pdb) "), b'\x11\x00\x00\x00\x0b{"text":"(Pdb) "}'),
    "signals_deferred": (messages.SignalsDeferred([15, 10]), b'\x13\x00\x00\x00\x0c{"signums":[15,10]}'),
    "program": (messages.Program(12), b'\x12\x00\x00\x00\r{"pid":12,"rss":0}'),
    "program_runs": (messages.Program(12, runs=True), b'\x1e\x00\x00\x00\r{"pid":12,"runs":true,"rss":0}'),
    "program_ended": (messages.Program(0, at=2.5, rss=99), b'\x1b\x00\x00\x00\r{"pid":0,"at":2.5,"rss":99}'),
    "forks": (messages.Forks("app.py:12"), b'\x12\x00\x00\x00\x0e{"at":"app.py:12"}'),
    "ends_process": (messages.EndsProcess(12), b'\n\x00\x00\x00\x0f{"pid":12}'),
    "invoke": (
        messages.Invoke(
            '{"n": "ä"}',
            {"request_id": "r", "memory_limit_in_mb": 128},
            {"A": "1", "B": None},
            {"X-Scf-Trigger-Src": "Timer"},
            None,
        ),
        (
            b'\xac\x00\x00\x00 {"payload":"{\\"n\\": \\"\\u00e4\\"}","context":{"request_id":"r","memory_limit_'
            b'in_mb":128},"environment":{"A":"1","B":null},"headers":{"X-Scf-Trigger-Src":"Timer"},"gate'
            b'":null}'
        ),
    ),
    "resume": (messages.Resume(), b"\x00\x00\x00\x00!"),
    "open_gate": (messages.OpenGate(), b'\x00\x00\x00\x00"'),
    "arm_gates": (
        messages.ArmGates(
            [
                messages.LogGate("log-1", 2, regular=False, pattern="über", flags=0),
                messages.ListeningGate("listening-2", 15),
                messages.LineGate("line-3", 0, 3),
                messages.OccurrenceGate("point-4", "waited", 2),
                messages.Fault("fault-5", "connection", 3, 104, lasting=False),
            ],
            [
                messages.CountedPlace(
                    0,
                    [messages.Spot("/c/index.py", "f", 1, 2, 2, 3)],
                    [messages.Instruction("/c/index.py", "f", 1, 24)],
                )
            ],
            messages.Collect(["/c"], ["venv/*"]),
        ),
        (
            b'5\x02\x00\x00#{"gates":[{"id":"log-1","at":"log","count":2,"regular":false,"pattern":"\\u00fcber"'
            b',"flags":0},{"id":"listening-2","at":"listening","signum":15},{"id":"line-3","at":"line","'
            b'slot":0,"pass":3},{"id":"point-4","at":"occurrence","kind":"waited","number":2},{"id":"faul'
            b't-5","at":"fault","kind":"connection","number":3,"error":104,"lasting":false}],"places":'
            b'[{"slot":0,"spots":[{"file":"/c/index.py","name":"f","first":1,"line":2,"low":2,"high":3}]'
            b',"instructions":[{"file":"/c/index.py","name":"f","first":1,"offset":24}]}],"collect":{"ro'
            b'ots":["/c"],"exclude":["venv/*"]}}'
        ),
    ),
    "threads": (
        messages.Threads(
            [
                messages.TracedThread(7, "sh", 7, "sh", "wait4", [], None),
                messages.TracedThread(8, "node", 9, "n", "epoll_wait", [("pipe", "")], 5),
            ],
            ["127.0.0.1:6379"],
        ),
        (
            b'\xd5\x00\x00\x00@{"threads":[{"pid":7,"process":"sh","tid":7,"name":"sh","call":"wait4","targets":[]},'
            b'{"pid":8,"process":"node","tid":9,"name":"n","call":"epoll_wait","targets":[["pipe",""]],"due_us":5}],'
            b'"held":["127.0.0.1:6379"]}'
        ),
    ),
    "poll": (messages.Poll(), b"\x00\x00\x00\x00$"),
    "poll_signals": (messages.PollSignals(), b"\x00\x00\x00\x00%"),
    "stop": (messages.Stop(), b"\x00\x00\x00\x00)"),
    "go_on": (messages.GoOn(), b"\x00\x00\x00\x00*"),
    "save": (messages.Save(), b"\x00\x00\x00\x00&"),
    "answer_waits": (messages.AnswerWaits(50000, waits=True), b'\x1b\x00\x00\x00+{"port":50000,"waits":true}'),
    "typed": (messages.Typed("n"), b'\x0c\x00\x00\x00\'{"line":"n"}'),
    "typed_end": (messages.Typed(None), b'\r\x00\x00\x00\'{"line":null}'),
    "assign": (
        ASSIGN,
        (
            b'\xa2\x04\x00\x00({"entry":"/c/index.py","module":"index","function":"main_handler","code_director'
            b'y":"/c","search_path":["/c"],"sandbox":{"common":{"tmpfs":["/tmp","/dev/shm"],"binds":[["/'
            b'opt/\\u00e4","/opt",false]]},"own":[["/c","/var/user",true]],"layer":null,"inodes":[11]},"k'
            b'nown_tmp":["/tmp/a"],"only_writes":["/tmp/a/run"],"own_random":true,"environment":{"HOME":"/h"},"clock_reads_before_wait":null,"compute_r'
            b'ate":0.5,"network":"loopback","deployed_by":"conftest.py:3","idle_ok":["127.0.0.1:6379"],"'
            b'parts":{"a.part":{"directory":"/d","context":null}},"sees_imports":true,"memory_limited":false,"before_init":{"shown":"x","directory":"/t","en'
            b'try":"/t/x.py","module":"x","function":"f","arguments":"[]"},"program":{"path":"/bin/a","a'
            b'rgv":["/bin/a","-x"],"directory":"/c","environment":{"A":"1"},"free_running":true,"supervis'
            b'ed":false,"script":null,"module":null,"speaks":"event-invoke","port":9000,"ports":[6379],"own_ne'
            b'twork":true,"cpus":[3],"container_port":0},"endpoint":{"host":"127.0.0.1","port":40001,"authority'
            b'":"/s/a.pem","bundle":"/s/b.pem","nearby":"/s/n.pem","certifi":"/p/cacert.pem","leads":true},"recorded":false,"at_effect":{"number":7,"error":28,"lasting":true,"cut":0},"syncs":false}'
        ),
    ),
    "assign_plain": (
        ASSIGN._replace(
            clock_reads_before_wait=1000,
            parts={},
            sees_imports=False,
            **dict.fromkeys(("sandbox", "before_init", "program", "endpoint")),
        ),
        (
            b'#\x02\x00\x00({"entry":"/c/index.py","module":"index","function":"main_handler","code_director'
            b'y":"/c","search_path":["/c"],"sandbox":null,"known_tmp":["/tmp/a"],"only_writes":["/tmp/a/run"],"own_random":true,"environment":{"HOME":"'
            b'/h"},"clock_reads_before_wait":1000,"compute_rate":0.5,"network":"loopback","deployed_by":'
            b'"conftest.py:3","idle_ok":["127.0.0.1:6379"],"parts":{},"sees_imports":false,"memory_limi'
            b'ted":false,"before_init":null,"program":null,"endpoint":null,"recorded":false,"at_effect":{"number":7,"error":28,"lasting":true,"cut":0},"syncs":false}'
        ),
    ),
}
"""Each message with its bytes: a frame, or a packet of the zygote's socket."""

OF_ZYGOTE = {row.message for row in messages.TABLE if isinstance(row.kind, (messages.ToZygote, messages.FromZygote))}
FROM_ZYGOTE = {row.message for row in messages.TABLE if isinstance(row.kind, messages.FromZygote)}
FROM_INSTANCE = [row for row in messages.TABLE if isinstance(row.kind, messages.FromInstance)]
LOCKSTEP = {messages.Peer.HANDLER, messages.Peer.PROGRAM, messages.Peer.SUPERVISOR}


def body_of(message: Any) -> tuple[int, bytes]:
    """The kind and the body of the one frame that *message* is packed to."""
    (found,) = messages.FrameReader().feed(messages.pack(message))
    return found


def as_lists(value: Any) -> Any:
    """*value* with lists in the place of plain tuples, which JSON has not."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(as_lists, value))
    return [as_lists(each) for each in value] if isinstance(value, (list, tuple)) else value


@pytest.mark.parametrize(("message", "wire"), SAMPLES.values(), ids=SAMPLES)
def test_these_are_the_bytes_of_a_message(message: Any, wire: bytes) -> None:
    assert messages.pack(message) == wire


@pytest.mark.parametrize("message", [message for message, _ in SAMPLES.values()], ids=SAMPLES)
def test_a_message_comes_back_as_it_was(message: Any) -> None:
    kind = type(message)
    body = messages.pack(message) if kind in OF_ZYGOTE else body_of(message)[1]

    found = messages.unpack(kind, body)

    assert type(found) is kind
    assert as_lists(found) == as_lists(message)


def test_every_message_of_the_table_has_a_sample() -> None:
    assert {row.message for row in messages.TABLE} == {type(message) for message, _ in SAMPLES.values()}


@pytest.mark.parametrize(
    "numbers",
    [messages.ToZygote, messages.FromZygote, messages.FromInstance, messages.ToInstance, messages.InControlFile],
)
def test_a_direction_gives_each_message_a_number_of_its_own(numbers: Any) -> None:
    assert len(numbers) == len(numbers.__members__)  # a second name of a number is an alias, and no member
    assert [row.kind for row in messages.TABLE if isinstance(row.kind, numbers)] == sorted(numbers)


def test_the_zygote_is_answered_by_the_kind_of_a_packet() -> None:
    for message, wire in SAMPLES.values():
        if type(message) in FROM_ZYGOTE:
            found = messages.unpack_from_zygote(wire)
            assert (type(found), found) == (type(message), message)


def test_a_record_is_the_note_that_it_would_be_packed_to() -> None:
    _, wire = SAMPLES["note_record"]
    body = messages.pack_record('"row"', ['"n":1', '"text":"\\u00e4"'])
    assert messages.frame(messages.NOTE, body) == wire


def test_these_messages_have_marks_in_the_output() -> None:
    marked = {row.kind.name for row in messages.TABLE if row.marked}
    assert marked == {
        *("INIT_DONE", "PROGRAM", "SIGNAL_ENTERED", "SIGNAL_LEFT", "LISTENING", "NOTE", "LEASED", "WROTE"),
        "WAITS_FOR_OTHERS",
    }
    assert marked == {messages.FromInstance(number).name for number in messages.MARKED}
    assert messages.is_marked(messages.Program(1))
    assert not messages.is_marked(messages.Result("RETURNED"))


def test_the_agent_of_a_free_running_program_receives_events_and_gates_alone() -> None:
    reported = {row.kind.name for row in messages.TABLE if messages.Peer.AGENT in row.receivers}
    assert reported == {"INVOKE", "OPEN_GATE", "ASSIGN"}
    assert messages.is_for(messages.OpenGate(), messages.Peer.AGENT)
    assert not messages.is_for(messages.Resume(), messages.Peer.AGENT)


@pytest.mark.parametrize("row", FROM_INSTANCE, ids=lambda row: row.kind.name)
def test_a_message_is_taken_from_those_who_may_send_it(row: Any) -> None:
    sample = next(message for message, _ in SAMPLES.values() if type(message) is row.message)
    kind, body = body_of(sample)
    assert kind == row.kind
    assert row.senders <= {*LOCKSTEP, messages.Peer.AGENT}
    for peer in row.senders:
        assert messages.received(kind, body, peer) == sample
    for peer in set(messages.Peer) - row.senders:
        with pytest.raises(ValueError, match=rf"{row.kind.name} is no message of a \w+|{row.kind.name} is no message"):
            messages.received(kind, body, peer)


def test_these_may_send_what_not_every_instance_may() -> None:
    usual = frozenset(LOCKSTEP)
    special = {row.kind.name: {peer.name for peer in row.senders} for row in FROM_INSTANCE if row.senders != usual}
    assert special == {
        "GATED": {"HANDLER", "PROGRAM", "AGENT", "SUPERVISOR"},
        "INIT_DONE": {"HANDLER", "PROGRAM", "AGENT", "SUPERVISOR"},
        "RESULT": {"HANDLER", "PROGRAM", "AGENT", "SUPERVISOR"},
        "NOTE": {"HANDLER", "PROGRAM", "AGENT", "SUPERVISOR"},
        "PROGRAM": {"AGENT", "SUPERVISOR"},
        "PROCESS_WAITS": {"SUPERVISOR"},
        "FORKS": {"PROGRAM"},
        "POINTS": {"HANDLER", "PROGRAM"},
    }


def test_a_number_that_nothing_has_is_no_message() -> None:
    with pytest.raises(ValueError, match="there is no such message"):
        messages.received(200, b"{}", messages.Peer.HANDLER)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("RESULT", {}),
        ("RESULT", {"fact": 1}),
        ("RESULT", {"fact": "RETURNED", "rss": "much"}),
        ("RESULT", {"fact": "RETURNED", "another": 1}),
        ("FORKS", {}),
        ("FORKS", {"at": None}),
        ("SIGNALS_DEFERRED", {"signums": 15}),
        ("NOTE", {"note": ["text"]}),
        ("NOTE", {"name": "row", "fields": []}),
        ("INIT_DONE", []),
    ],
    ids=str,
)
def test_what_has_other_fields_than_the_message_is_none(kind: str, body: object) -> None:
    with pytest.raises(TypeError):
        messages.received(messages.FromInstance[kind], json.dumps(body).encode(), messages.Peer.PROGRAM)


@pytest.mark.parametrize(("kind", "body"), [("PARKED", b"x"), ("LEASED", b""), ("WROTE", bytes(13))])
def test_numbers_that_are_too_few_or_too_many_are_no_message(kind: str, body: bytes) -> None:
    with pytest.raises(Exception, match="requires a buffer"):
        messages.received(messages.FromInstance[kind], body, messages.Peer.HANDLER)


def test_the_time_of_a_wrote_is_read_from_nothing_else() -> None:
    assert messages.wrote_in(*body_of(messages.Wrote(17, 3))) == messages.Wrote(17, 3)
    assert messages.wrote_in(*body_of(messages.Leased(17, 0))) is None
    assert messages.wrote_in(messages.WROTE, b"short") is None


def test_a_part_of_a_frame_waits_for_the_rest() -> None:
    reader = messages.FrameReader()
    whole = messages.pack(messages.Forks("app.py:12")) + messages.pack(messages.Poll())
    found = [each for at in range(len(whole)) for each in reader.feed(whole[at : at + 1])]
    assert found == [body_of(messages.Forks("app.py:12")), body_of(messages.Poll())]


def test_a_length_that_no_message_has_is_refused() -> None:
    with pytest.raises(ValueError, match="a message of"):
        list(messages.FrameReader().feed(b"\xff" * 16))
