"""The messages between the test's process, its zygote and its instances: what each says, its number and its bytes.

A channel between the test's process and an instance is a stream socket. A frame is a length, a number and a body. The
zygote has a socket of packets. Both ends of every connection are processes of ours, but a handler lives in one of them:
nothing here evaluates code, and `received` refuses what its sender may not say.

Each message is an immutable class with typed fields. They are no dataclasses: importing that module (with ``inspect``
and ``ast``) and making 40 of them takes several times as long as the named tuples, in every zygote, and user code would
find these modules imported. Fields whose default is None or False are left out of the JSON where they have it.

Hot messages are packed numbers: `pack_parked`, `pack_leased` and `pack_wrote` take plain arguments, so that an instance
makes no object for them. The zygote unpacks numbers and no JSON where it forks: after a fork each page that it writes
has to be copied. ``TABLE`` has one row a message.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from enum import Enum, IntEnum
from typing import Any, NamedTuple, TypedDict, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from .shared_page import Order

JsonObject = dict[str, Any]

NEVER = -1
"""Due: nothing of the instance ends by itself."""

BEFORE_INIT_RAISED = "BEFORE_INIT_RAISED"
"""The fact of an `InitDone` that is no fact of the platform: the test's own function failed."""

SETUP_FAILED = 113
"""The exit code of an instance that could not become one: our fault, never the user's."""

UPTIME_US = 3_600_000_000
"""``monotonic`` at the runtime's start: an hour, as of a machine that has been up for a while."""

OWNER_MARK = "PYTEST_SCF_ASYNC_OWNER"
"""The environment variable that every process below the zygote inherits; its value names the session."""

RELAYED = struct.Struct("<H")
"""What comes with each listening socket of a relayed port: the number of the machine's port that it leads to."""

LONGEST_BODY = 1 << 26
"""Bytes of a message's body at most: a result of 6 MB is several times as long where it is escaped."""


# -- the numbers, one enumeration a direction --------------------------------------------------------------------------


class ToZygote(IntEnum):
    SPAWN = 1
    RECLAIM = 2
    EXPECT = 3
    PROBE = 4
    RECORD = 5


class FromZygote(IntEnum):
    READY = 1
    SPAWNED = 2
    GONE = 3
    REFUSED = 4
    NO_NAMESPACES = 5
    NOT_PRELOADED = 6
    NOT_FILTERED = 7
    PROBED = 8


class FromInstance(IntEnum):
    PARKED = 1
    GATED = 2
    SIGNAL_ENTERED = 3
    SIGNAL_LEFT = 4
    LISTENING = 5
    INIT_DONE = 6
    RESULT = 7
    NOTE = 8
    LEASED = 9
    SIGNALS_HANDLED = 10
    TERMINAL = 11
    SIGNALS_DEFERRED = 12
    PROGRAM = 13
    FORKS = 14
    ENDS_PROCESS = 15
    WROTE = 16
    POINTS = 17
    WAITS_FOR_OTHERS = 18
    PROCESS_WAITS = 19


class ToInstance(IntEnum):
    INVOKE = 32
    RESUME = 33
    OPEN_GATE = 34
    ARM_GATES = 35
    POLL = 36
    POLL_SIGNALS = 37
    SAVE = 38
    TYPED = 39
    ASSIGN = 40
    STOP = 41
    GO_ON = 42
    ANSWER_WAITS = 43


class InControlFile(IntEnum):
    """What is written behind the control page, where the test's process has asked by a signal."""

    THREADS = 64


# -- the test's process to the zygote ----------------------------------------------------------------------------------


class Spawn(NamedTuple):
    """Fork a process; its four descriptors come along: channel, output, control page, wakeup eventfd."""

    number: int


class Reclaim(NamedTuple):
    """Kill an instance of which no pidfd has come."""

    number: int


class Probe(NamedTuple):
    """Have a process, forked as instances are, find out whether it can trace programs."""

    number: int


class Record(NamedTuple):
    """Fork a recorder; one descriptor comes along, of the socket from which it takes its order (`disk_record`)."""

    number: int


class CommonMounts(NamedTuple):
    """What the mount namespaces of one runtime's instances have in common."""

    tmpfs: list[str]
    """New, empty directories; ``/tmp`` comes first."""
    binds: list[tuple[str, str, bool]]
    """From where, to where, and whether it may be written."""


class Expect(NamedTuple):
    """What the next instances will be like: what the zygote can do for them before it forks."""

    common: CommonMounts | None
    inodes: list[int]
    """The numbers of the directories that are bound."""
    code: list[str]
    """Files to compile."""
    environment: dict[str, str]
    parts: dict[str, JsonObject]
    """By module: the parts of features that they will have, each with the keywords with which it prepares."""
    sees_imports: bool = False
    """One of these is to see what user code imports, which is not imported ahead then."""
    program: bool = False
    wing_part: str | None = None
    """As that of `Assign`; each of them has gates at lines then."""


# -- the zygote to the test's process ----------------------------------------------------------------------------------


class Ready(NamedTuple):
    """The zygote serves."""

    pid: int
    no_clock_page: str
    """Why instances have freezegun's classes; empty: they have not."""


class Spawned(NamedTuple):
    """A pidfd comes along, and a descriptor of the ``/tmp`` in its mount namespace where it has one."""

    number: int
    pid: int


class Gone(NamedTuple):
    number: int
    status: int
    """The wait status."""
    used_ns: int
    """Processor time."""
    peak: int
    """Bytes that it, or a child that it waited for, had in memory at most."""
    became: str = ""
    """The kernel's name of the program that had taken its place by ``exec``; empty: none had."""


class Refused(NamedTuple):
    """No process could be forked."""

    number: int
    why: str
    """In the kernel's words."""


class NoNamespaces(NamedTuple):
    """The kernel does not give what instances were to have."""

    why: str


class NotPreloaded(NamedTuple):
    """A module cannot be imported for all instances."""

    why: str


class NotFiltered(NamedTuple):
    """Programs that share the machine's network listen where they say. It comes before `Ready`."""

    why: str


class Probed(NamedTuple):
    """The answer to `Probe`; the process that found it out sends it."""

    why: str
    """Why programs cannot be traced; empty: they can."""


# -- an instance to the test's process ---------------------------------------------------------------------------------


class Awaits(IntEnum):
    """What can end a wait that no time ends."""

    SOMETHING = 0
    LOCK = 1
    """Another thread releases the lock."""
    OWN_LOCK = 2
    """The same where there is no other thread."""
    NOTICE = 3
    """Another thread, or task of asyncio, sets the event, puts something into the queue, notifies the condition."""
    THREAD = 4
    """The thread that is joined ends."""
    ANSWER = 5
    """Something comes on a connection."""


FOLDED = 128
"""Added to the `Awaits` of a `Parked`: the wait has a row in the timeline only if simulated time passes in it, or a
call of the test ends in it. Whether it comes at all may depend on the machine's speed."""


HIDDEN = 64
"""The same of a wait that has no row."""
FOLLOWS = 32
"""The same of a wait that has a row in any case, like that of a `WaitsForOthers`."""


class Parked(NamedTuple):
    """What the instance waits for next."""

    due_us: int
    """When that ends by itself, in µs since the epoch, or NEVER."""
    order: Order
    """Its order, within the instance."""
    running_threads: int
    """How many threads are not in the scheduler."""
    held: int
    """The place of the first of its announced real waits (`shared_page.answered`); 0: none holds the clock."""
    seen: int
    """How many frames it has read."""
    used_ns: int
    """Processor time of the process; 0 where computing takes no simulated time."""
    awaits: int
    """Of a wait that has just begun: its `Awaits`."""
    description: str
    """What a wait that has just begun is to a user; empty: it is none of user code's."""


class Leased(NamedTuple):
    """The instance has moved the clock itself."""

    time_us: int
    records: int
    """How many records of leased waits there are."""


class Wrote(NamedTuple):
    """The same, where code in C may write: what stands before the mark is of that time, too."""

    time_us: int
    records: int


class Gated(NamedTuple):
    """A thread stands at a gate."""

    id: str
    at: str | None = None
    main: bool = True
    """Whether it is the main thread."""


class Points(NamedTuple):
    """Points that the main thread has come to since the last report, in that order, each as the fields of a `Point`."""

    rows: list[list[Any]]
    slow: list[list[Any]] | None = None
    """Lines at the top of modules that have taken long, each as file, line and real seconds."""


class Point(NamedTuple):
    """A point at which user code can be interrupted."""

    kind: str
    """``"line"``: a statement begins; ``"taken"``: this Python looks for signals; ``"both"``; or a kind of
    `OccurrenceGate`."""
    time_us: int
    number: int
    """Which pass of the instruction, or which one of its kind, it is."""
    file: str
    """Of a line of output and a wait: where user code is, and nothing where no user code is on the stack."""
    line: int
    nth: int = 0
    """Which one of its line it is, of those at which this Python looks for signals, from 1 on; 0: the line's start.
    Of a wait and a line of output: 1 where user code itself has made the call, and no library."""
    turn: int = 0
    """Which pass of the line it is, as ``run_to`` counts them, where a statement begins."""
    name: str = ""
    """The code object's; of an effect the call's."""
    first: int = 0
    """Its first line."""
    offset: int = -1
    text: str = ""
    """The callee, the wait, or the line of output."""
    effects: int = 0
    """How many effects had begun by then, where the instance is recorded, ..."""
    records: int = 0
    """... and how many records it had sent."""
    at_default: bool = False
    """Whether a SIGTERM ends the process there: it has its default disposition, and is not blocked."""
    listeners: int = 0
    """How often something else had become of SIGTERM by then."""
    in_event: bool = False
    """Whether the init was over."""


class SignalEntered(NamedTuple):
    """User code's handler of a signal is about to be called."""

    signum: int


class SignalLeft(NamedTuple):
    """The handler is through."""

    signum: int
    raised: str | None
    """The type of what it raised."""
    message: str | None = None


class Listening(NamedTuple):
    """User code has called ``signal.signal``, or a supervised program ``sigaction``."""

    signum: int
    handler: str
    """"handler", or the name of a disposition; "native": a handler of the runtime of the program's language;
    "replaced": one of ``faulthandler``; "refused": Python has refused the call, as it was in another thread than the
    main one."""
    call: str = ""
    """The call, where it was refused: where it stands, and its thread."""


class WaitsForOthers(NamedTuple):
    """The main thread wants what another process makes ready: it waits, or finds it there already.

    That has a row in the timeline, which comes with the next message whose description is empty; of a supervised
    program, which sends this once all of it waits, it comes at once.
    """

    description: str
    """Empty: all such waits are over."""


class ProcessWait(NamedTuple):
    """What a process of a supervised program waits in from a time on."""

    at_us: int
    pid: int = 0
    """Its number in its own namespace of processes, as the program has it; 0: from here on there is one process, or
    nothing is known of them."""
    name: str = ""
    """The kernel's name of it."""
    call: str | None = None
    """The system call in which its first thread waits, by the kernel's name; empty: none; None: it has ended."""


class ProcessWaits(NamedTuple):
    """What has changed in the waits of a supervised program's processes, while it has several; the first one that is
    named in an event is the program's own."""

    processes: list[ProcessWait]


class SignalsHandled(NamedTuple):
    """The answer to `PollSignals`."""


class SignalsDeferred(NamedTuple):
    """The handlers of these are called once the wait of the main thread is over: it is one of C code."""

    signums: list[int]


class EndsProcess(NamedTuple):
    """User code is about to send a process the signal to end."""

    pid: int


class InitDone(NamedTuple):
    """The init has ended."""

    fact: str | None
    """Why it has failed: a fact of the platform, or BEFORE_INIT_RAISED."""
    trace: str | None = None
    rss: int = 0
    """Peak memory in bytes above that at the fork."""
    at: float | None = None
    """In seconds of the real monotonic clock, of a free-running program."""


class Result(NamedTuple):
    """What came of the event."""

    fact: str
    text: str | None = None
    """The return value, as JSON."""
    trace: str | None = None
    message: str | None = None
    """The platform's message, where the program itself has said what is wrong."""
    ends: bool = False
    """The process is about to end."""
    rss: int = 0
    used_ns: int | None = None
    """Processor time of the process; 0 where computing takes no simulated time."""
    at: float | None = None
    """In seconds of the real monotonic clock, of a free-running program."""
    content: str | None = None
    """The body that is the return value and no text, in Base64."""
    size: int | None = None
    """Bytes of a return value that is too large."""


class Note(NamedTuple):
    """A record of user code (``name``, ``fields``), a line of ours for the timeline (``note``), or one of the rest."""

    name: str | None = None
    fields: JsonObject | None = None
    note: str | None = None
    in_shared_memory: str | None = None
    """What user code makes in the machine's ``/dev/shm``."""
    literal_tmp: bool = False
    """The note is of a use of the machine's ``/tmp``."""
    has_real_time: str | None = None
    """What waits in real time."""
    untraced: bool = False
    """The note is of what a program cannot do, or be, under a tracer."""
    flushed: bool = False
    """An unfinished line was flushed."""
    debug: str | None = None
    """What a library logs at the level DEBUG, which is written next."""


class TracedThread(NamedTuple):
    """What one thread of a traced program does."""

    pid: int
    process: str
    """The kernel's name of its process."""
    tid: int
    name: str
    """The kernel's name of the thread: that of the process unless it has another one."""
    call: str
    """The system call in which it waits, by the kernel's name; empty: it computes."""
    targets: list[tuple[str, str]]
    """What it waits on: the kind and the name of each, as `kernel_waits.Target` has them."""
    due_us: int | None = None
    """When the wait is over, in simulated µs since the epoch."""


class Threads(NamedTuple):
    """All threads of a traced program, and what holds the clock; asked for by STACKS_SIGNAL."""

    threads: list[TracedThread]
    held: list[str]
    """The other ends of the connections that do."""


class Terminal(NamedTuple):
    """A debugger shows a text on the user's terminal, and waits for a `Typed`."""

    text: str


class Program(NamedTuple):
    """Of the agent: the process that it starts, and again with ``runs`` once the program's own code runs there."""

    pid: int
    """0: the program has ended, and ``at`` says when."""
    runs: bool = False
    at: float | None = None
    """In seconds of the real monotonic clock."""
    rss: int = 0
    """Where it has ended: what it had in memory at most, in bytes."""


class Forks(NamedTuple):
    """An image's program that the instance itself runs is about to fork: it stands there until it is ended."""

    at: str
    """The line, as in ``app.py:12``; empty: it is not known."""


# -- the test's process to an instance ---------------------------------------------------------------------------------


class EventContext(TypedDict, total=False):
    """The platform's context of one event (document 9210), which the handler gets as it is."""

    memory_limit_in_mb: int
    time_limit_in_ms: int
    request_id: str
    environment: str
    environ: str
    function_version: str
    function_name: str
    namespace: str
    tencentcloud_region: str
    tencentcloud_appid: str
    tencentcloud_uin: str


class Invoke(NamedTuple):
    """An event."""

    payload: str
    context: EventContext
    environment: dict[str, str | None]
    """What is in the environment for this event alone; None: the variable is not there."""
    headers: dict[str, str]
    """What an image's request has beside the common headers."""
    gate: str | None
    """The gate before the first line of user code."""

    @property
    def seed(self) -> int:
        """In a sweep: what code in C draws random numbers from."""
        return int(self.context["request_id"][-12:], 16)


class Resume(NamedTuple):
    """The first of the waits that are due goes on."""


class OpenGate(NamedTuple):
    """The thread that stands at a gate goes on."""


class LogGate(NamedTuple):
    """A gate behind a line of the output."""

    id: str
    count_: int
    """Which of the lines that match it is."""
    regular: bool
    """Whether the pattern is a regular expression."""
    pattern: str
    flags: int


class ListeningGate(NamedTuple):
    """A gate behind the call that installs a handler of a signal."""

    id: str
    signum: int


class LineGate(NamedTuple):
    """A gate at a pass of a place in user code."""

    id: str
    slot: int
    pass_: int


class Spot(NamedTuple):
    """A place in one code object: its file, name and first line; the line (0: the start of the function's body), and
    the first and last line that the statement has for itself."""

    file: str
    name: str
    first: int
    line: int
    low: int
    high: int


class Instruction(NamedTuple):
    """One instruction: the file, name and first line of its code object, and its offset there."""

    file: str
    name: str
    first: int
    offset: int


class CountedPlace(NamedTuple):
    """A place whose passes are counted: of instructions those of the main thread alone."""

    slot: int
    spots: list[Spot]
    instructions: list[Instruction]


class OccurrenceGate(NamedTuple):
    """A gate at the one with that number of what the main thread does, counted from the event's first line on."""

    id: str
    kind: str
    """``"wait"``: it begins to wait; ``"waited"``: a wait has ended; ``"log"``: it has completed a line of output;
    ``"connection"``: it is about to send on a connection, or has received there; of a program, ``"effect"``: any thread
    of it is about to change the recorded directory."""
    number: int


class Fault(NamedTuple):
    """No gate, but an error of the kernel, at the occurrence with that number (``OccurrenceGate``)."""

    id: str
    kind: str
    """``"connection"``."""
    number: int
    error: int
    """The number of the error."""
    lasting: bool
    """All later ones of that kind fail, too."""


class Collect(NamedTuple):
    """Report each point of user code that the main thread reaches."""

    roots: list[str]
    """Directories of user code."""
    exclude: list[str]
    """Patterns of paths below these whose code is not the user's."""
    functions: bool = False
    """Have the control page name the function that user code has called, too."""


AnyGate = LogGate | ListeningGate | LineGate | OccurrenceGate | Fault


class ArmGates(NamedTuple):
    """All gates that are set now, and all places whose passes are counted."""

    gates: list[AnyGate]
    places: list[CountedPlace]
    collect: Collect | None


class Poll(NamedTuple):
    """Report: the thread that has the run token does not, and others may be ready."""


class PollSignals(NamedTuple):
    """Say when the handlers of all signals that have come by now have been called, or wait themselves."""


class Stop(NamedTuple):
    """Stop the program with all that it has started, and count that in the control page."""


class GoOn(NamedTuple):
    """Let the program go on."""


class AnswerWaits(NamedTuple):
    """Whether the answer that is owed on a connection waits on simulated time: that connection holds no clock then."""

    port: int
    """Of this instance's end of the connection, in its own network."""
    waits: bool


class Save(NamedTuple):
    """Save what was measured, count it in the control page, and stop: the process is about to be ended."""


class Typed(NamedTuple):
    """The line that was typed; None at the end of the input."""

    line: str | None


class MountPlan(NamedTuple):
    """What the mount namespace of an instance has."""

    common: CommonMounts
    own: list[tuple[str, str, bool]]
    """What is bound for the function alone: from where, to where, and whether it may be written."""
    layer: str | None
    """The directory of an image, which may be written."""
    inodes: list[int]
    """The numbers of the directories that ``common`` binds."""


class BeforeInit(NamedTuple):
    """The test's own function that is called before the init."""

    shown: str
    directory: str
    entry: str
    module: str
    function: str
    arguments: str


class ProgramConfig(NamedTuple):
    """A program that the instance starts, or is."""

    path: str
    argv: list[str]
    directory: str
    environment: dict[str, str]
    free_running: bool
    supervised: bool
    script: str | None
    module: str | None
    speaks: str
    port: int
    ports: list[int]
    own_network: bool
    cpus: list[int]
    """Where it runs if it is supervised."""
    container_port: int = 0
    """Where it listens in its container, if it is in one."""
    calls_handler: bool = False
    """It is ours, and calls the Python handler of the function."""


class EndpointConfig(NamedTuple):
    """The endpoint of the test that answers in the platform's place."""

    host: str
    """In the machine's network, as is the port."""
    port: int
    authority: str
    """A file with the authority of its certificates."""
    bundle: str
    """A file with all authorities that are trusted, this one among them."""
    nearby: str
    """The same without public authorities, which sign nothing that a network of an instance's own has: each request of
    an SDK reads that file, which took a third of its time."""
    certifi: str
    """The file of authorities that certifi names in the tests' own Python environment; empty where there is none."""
    leads: bool
    """The hosts of SCF lead to it, and other hosts of the API are refused."""


class AtEffect(NamedTuple):
    """What is to happen at the entry of one effect of a run."""

    number: int = 0
    """Of the effect; 0: nothing happens."""
    error: int = 0
    """The number of the error with which it fails; 0: the instance is killed."""
    lasting: bool = False
    """All later ones that may fail with this error do so, too."""
    is_sync: bool = False
    """The number is that of a call that syncs; see `disk_record.Sync`."""
    cut: int = 0
    """It is a write that ends when its file has so many bytes, and the next one that may fail does; 0: it fails itself.
    """


class Assign(NamedTuple):
    """The first frame: which function to be an instance of.

    Descriptors come with it, in this order: of the clock's page; of what the parts of features need; of the socket that
    takes listening sockets, where ports are relayed into the instance's network; of the socket of the shim, where the
    program is in a container.
    """

    entry: str
    module: str
    function: str
    code_directory: str
    search_path: list[str]
    sandbox: MountPlan | None
    known_tmp: list[str]
    only_writes: list[str] | None
    """Without a mount namespace, in a sweep: the directories below which alone it may write; None: it may anywhere."""
    own_random: bool
    """Whether random numbers are drawn from the name of the event."""
    environment: dict[str, str]
    clock_reads_before_wait: int | None
    compute_rate: float
    network: str
    deployed_by: str
    idle_ok: list[str]
    parts: dict[str, JsonObject]
    """By module: the parts of features that it has, each with the keywords with which it begins."""
    sees_imports: bool
    memory_limited: bool
    before_init: BeforeInit | None
    program: ProgramConfig | None
    endpoint: EndpointConfig | None
    recorded: bool
    """Its effects are recorded, or what code in C draws is answered; the last descriptor leads to the recorder."""
    at_effect: AtEffect
    syncs: bool
    """As in the order of a recorder, where it traces its program itself."""
    wing_part: str | None = None
    """The module that is imported there for the wing whose instance it is."""


# -- the table ---------------------------------------------------------------------------------------------------------


class Peer(IntEnum):
    """Who is at an end of a connection."""

    TEST = 0
    """The test's process."""
    ZYGOTE = 1
    HANDLER = 2
    """An instance that runs a Python handler."""
    PROGRAM = 3
    """An instance that is an image's Python program."""
    AGENT = 4
    """An instance beside a program that runs free, which it speaks for."""
    SUPERVISOR = 5
    """An instance beside a program on the simulated clock, which it traces and speaks for."""


class Packing(Enum):
    EMPTY = "no body"
    NUMBERS = "packed numbers, and a text behind them"
    JSON = "a JSON object"


class Row(NamedTuple):
    """One message."""

    kind: IntEnum
    message: type[Any]
    packing: Packing
    senders: frozenset[Peer]
    receivers: frozenset[Peer]
    marked: bool = False
    """The sender computes on: the frame has a mark in the output pipe, so that lines keep their place."""


_TEST = frozenset({Peer.TEST})
_ZYGOTE = frozenset({Peer.ZYGOTE})
_LOCKSTEP = frozenset({Peer.HANDLER, Peer.PROGRAM, Peer.SUPERVISOR})
_HANDLER = frozenset({Peer.HANDLER})
_PROGRAM = frozenset({Peer.PROGRAM})
_SUPERVISOR = frozenset({Peer.SUPERVISOR})
_AGENT = frozenset({Peer.AGENT})
_STARTING = _AGENT | _SUPERVISOR
_INSTANCE = _LOCKSTEP | _AGENT

TABLE: tuple[Row, ...] = (
    Row(ToZygote.SPAWN, Spawn, Packing.NUMBERS, _TEST, _ZYGOTE),
    Row(ToZygote.RECLAIM, Reclaim, Packing.NUMBERS, _TEST, _ZYGOTE),
    Row(ToZygote.EXPECT, Expect, Packing.JSON, _TEST, _ZYGOTE),
    Row(ToZygote.PROBE, Probe, Packing.NUMBERS, _TEST, _ZYGOTE),
    Row(ToZygote.RECORD, Record, Packing.NUMBERS, _TEST, _ZYGOTE),
    Row(FromZygote.READY, Ready, Packing.NUMBERS, _ZYGOTE, _TEST),
    Row(FromZygote.SPAWNED, Spawned, Packing.NUMBERS, _ZYGOTE, _TEST),
    Row(FromZygote.GONE, Gone, Packing.NUMBERS, _ZYGOTE, _TEST),
    Row(FromZygote.REFUSED, Refused, Packing.NUMBERS, _ZYGOTE, _TEST),
    Row(FromZygote.NO_NAMESPACES, NoNamespaces, Packing.NUMBERS, _ZYGOTE, _TEST),
    Row(FromZygote.NOT_PRELOADED, NotPreloaded, Packing.NUMBERS, _ZYGOTE, _TEST),
    Row(FromZygote.NOT_FILTERED, NotFiltered, Packing.NUMBERS, _ZYGOTE, _TEST),
    Row(FromZygote.PROBED, Probed, Packing.NUMBERS, _ZYGOTE, _TEST),
    Row(FromInstance.PARKED, Parked, Packing.NUMBERS, _LOCKSTEP, _TEST),
    Row(FromInstance.GATED, Gated, Packing.JSON, _INSTANCE, _TEST),
    Row(FromInstance.SIGNAL_ENTERED, SignalEntered, Packing.JSON, _LOCKSTEP, _TEST, marked=True),
    Row(FromInstance.SIGNAL_LEFT, SignalLeft, Packing.JSON, _LOCKSTEP, _TEST, marked=True),
    Row(FromInstance.LISTENING, Listening, Packing.JSON, _LOCKSTEP, _TEST, marked=True),
    Row(FromInstance.INIT_DONE, InitDone, Packing.JSON, _INSTANCE, _TEST, marked=True),
    Row(FromInstance.RESULT, Result, Packing.JSON, _INSTANCE, _TEST),
    Row(FromInstance.NOTE, Note, Packing.JSON, _INSTANCE, _TEST, marked=True),
    Row(FromInstance.LEASED, Leased, Packing.NUMBERS, _LOCKSTEP, _TEST, marked=True),
    Row(FromInstance.SIGNALS_HANDLED, SignalsHandled, Packing.EMPTY, _LOCKSTEP, _TEST),
    Row(FromInstance.TERMINAL, Terminal, Packing.JSON, _LOCKSTEP, _TEST),
    Row(FromInstance.SIGNALS_DEFERRED, SignalsDeferred, Packing.JSON, _LOCKSTEP, _TEST),
    Row(FromInstance.PROGRAM, Program, Packing.JSON, _STARTING, _TEST, marked=True),
    Row(FromInstance.FORKS, Forks, Packing.JSON, _PROGRAM, _TEST),
    Row(FromInstance.ENDS_PROCESS, EndsProcess, Packing.JSON, _LOCKSTEP, _TEST),
    Row(FromInstance.WROTE, Wrote, Packing.NUMBERS, _LOCKSTEP, _TEST, marked=True),
    Row(FromInstance.POINTS, Points, Packing.JSON, _HANDLER | _PROGRAM, _TEST),
    Row(FromInstance.WAITS_FOR_OTHERS, WaitsForOthers, Packing.JSON, _LOCKSTEP, _TEST, marked=True),
    Row(FromInstance.PROCESS_WAITS, ProcessWaits, Packing.JSON, _SUPERVISOR, _TEST),
    Row(InControlFile.THREADS, Threads, Packing.JSON, _SUPERVISOR, _TEST),
    Row(ToInstance.INVOKE, Invoke, Packing.JSON, _TEST, _INSTANCE),
    Row(ToInstance.RESUME, Resume, Packing.EMPTY, _TEST, _LOCKSTEP),
    Row(ToInstance.OPEN_GATE, OpenGate, Packing.EMPTY, _TEST, _INSTANCE),
    Row(ToInstance.ARM_GATES, ArmGates, Packing.JSON, _TEST, _LOCKSTEP),
    Row(ToInstance.POLL, Poll, Packing.EMPTY, _TEST, _LOCKSTEP),
    Row(ToInstance.POLL_SIGNALS, PollSignals, Packing.EMPTY, _TEST, _LOCKSTEP),
    Row(ToInstance.SAVE, Save, Packing.EMPTY, _TEST, _HANDLER | _PROGRAM),
    Row(ToInstance.TYPED, Typed, Packing.JSON, _TEST, _HANDLER | _PROGRAM),
    Row(ToInstance.ASSIGN, Assign, Packing.JSON, _TEST, _INSTANCE),
    Row(ToInstance.STOP, Stop, Packing.EMPTY, _TEST, _SUPERVISOR),
    Row(ToInstance.GO_ON, GoOn, Packing.EMPTY, _TEST, _SUPERVISOR),
    Row(ToInstance.ANSWER_WAITS, AnswerWaits, Packing.JSON, _TEST, _LOCKSTEP),
)

MARKED = frozenset(int(row.kind) for row in TABLE if row.marked)
"""The numbers of what an instance marks in its output pipe."""

_ROWS: dict[type[Any], Row] = {row.message: row for row in TABLE}
_FOR: dict[Peer, frozenset[type[Any]]] = {
    peer: frozenset(row.message for row in TABLE if peer in row.receivers) for peer in Peer
}

# Every kind that a loop compares with, as a plain number: a member of an enumeration is slower to find and to compare.
PARKED, LEASED, WROTE = int(FromInstance.PARKED), int(FromInstance.LEASED), int(FromInstance.WROTE)
INVOKE, OPEN_GATE = int(ToInstance.INVOKE), int(ToInstance.OPEN_GATE)
SPAWN, EXPECT, PROBE, RECORD = map(int, (ToZygote.SPAWN, ToZygote.EXPECT, ToZygote.PROBE, ToZygote.RECORD))
NOTE = int(FromInstance.NOTE)

ZygoteAnswer = Ready | Spawned | Gone | Refused | NoNamespaces | NotPreloaded | NotFiltered | Probed
ToGoOn = Invoke | Resume | OpenGate | GoOn
ToTell = Poll | PollSignals | Save | Stop
ToKnow = Assign | ArmGates | Typed | AnswerWaits
ForInstance = ToGoOn | ToTell | ToKnow
OfSignals = SignalEntered | SignalLeft | SignalsDeferred | Listening
OfProcesses = Forks | Program
OfEvents = Gated | Points | Note | InitDone | Result | Terminal | WaitsForOthers | ProcessWaits
FromAnInstance = Parked | Leased | Wrote | SignalsHandled | EndsProcess | OfSignals | OfProcesses | OfEvents
FromAgent = Gated | Note | InitDone | Result | Program
"""What the agent of a free-running program sends."""


def is_marked(message: Any) -> bool:
    """Whether the sender marks it in its output pipe."""
    return _ROWS[type(message)].marked


def is_for(message: Any, receiver: Peer) -> bool:
    """Whether *receiver* takes such a message."""
    return type(message) in _FOR[receiver]


# -- frames ------------------------------------------------------------------------------------------------------------

HEADER = struct.Struct("<IB")


def frame(kind: int, body: bytes = b"") -> bytes:
    return HEADER.pack(len(body), kind) + body


class FrameReader:
    """Bytes in, whole frames out."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        buffer = self._buffer
        buffer += data
        while len(buffer) >= HEADER.size:
            length, kind = HEADER.unpack_from(buffer)
            if length > LONGEST_BODY:
                raise ValueError(f"a message of {length:,} bytes")
            end = HEADER.size + length
            if len(buffer) < end:
                return
            body = bytes(buffer[HEADER.size : end])
            del buffer[:end]
            yield kind, body


def mark_of(nonce: str) -> bytes:
    """The bytes that stand in the output pipe where a marked frame was sent; *nonce* is random, one a session."""
    return b"\0" + nonce.encode("ascii") + b"\0"


# -- packed numbers ----------------------------------------------------------------------------------------------------

_PARKED_BODY = struct.Struct("<qqqqHqIqB")
_PARKED_FRAME = struct.Struct("<IBqqqqHqIqB")
_LEASED_BODY = struct.Struct("<qI")
_LEASED_FRAME = struct.Struct("<IBqI")
TO_ZYGOTE = struct.Struct("<BI")
"""What each packet to the zygote begins with: what it is, and the number of an instance."""
_FROM_ZYGOTE = struct.Struct("<BIqqq")


def pack_parked(  # noqa: PLR0917  (each instance calls it at each wait: keywords are slower)
    due_us: int, order: Order, running_threads: int, held: int, seen: int, used_ns: int, awaits: int, description: str
) -> bytes:
    """The frame of a `Parked`."""
    text = description.encode("utf-8", "replace")
    return (
        _PARKED_FRAME.pack(55 + len(text), PARKED, due_us, *order, running_threads, held, seen, used_ns, awaits) + text
    )


def pack_leased(time_us: int, records: int) -> bytes:
    """The frame of a `Leased`."""
    return _LEASED_FRAME.pack(12, LEASED, time_us, records)


def pack_wrote(time_us: int, records: int) -> bytes:
    """The frame of a `Wrote`."""
    return _LEASED_FRAME.pack(12, WROTE, time_us, records)


_new: Any = tuple.__new__


def unpack_parked(body: bytes) -> Parked:
    """The `Parked` of a frame's body."""
    due_us, began_us, owner, number, *rest = _PARKED_BODY.unpack_from(body)
    text = body[55:].decode("utf-8", "replace")
    return _new(Parked, (due_us, (began_us, owner, number), *rest, text))  # type: ignore[no-any-return]


def wrote_in(kind: int, body: bytes) -> Wrote | None:
    """The `Wrote` of a frame; None for any other frame."""
    return Wrote(*_LEASED_BODY.unpack(body)) if kind == WROTE and len(body) == _LEASED_BODY.size else None


def pack_record(name: str, fields: Iterator[str] | list[str]) -> bytes:
    """The body of a `Note` that is a record: its *name* and its *fields* (``"name":value``), each as JSON already."""
    return f'{{"name":{name},"fields":{{{",".join(fields)}}}}}'.encode("ascii")


def _from_zygote(kind: int, text: str, *numbers: int) -> bytes:
    return _FROM_ZYGOTE.pack(kind, *numbers, *(0,) * (4 - len(numbers))) + text.encode()


_NUMBERS: dict[type[Any], tuple[Callable[[Any], bytes], Callable[[bytes], Any]]] = {
    Parked: (lambda it: pack_parked(*it), unpack_parked),
    Leased: (lambda it: pack_leased(*it), lambda body: Leased(*_LEASED_BODY.unpack(body))),
    Wrote: (lambda it: pack_wrote(*it), lambda body: Wrote(*_LEASED_BODY.unpack(body))),
    Ready: (
        lambda it: _from_zygote(FromZygote.READY, it.no_clock_page, 0, it.pid),
        lambda data: Ready(_FROM_ZYGOTE.unpack_from(data)[2], _text_of(data)),
    ),
    Spawned: (
        lambda it: _from_zygote(FromZygote.SPAWNED, "", *it),
        lambda data: Spawned(*_FROM_ZYGOTE.unpack_from(data)[1:3]),
    ),
    Gone: (
        lambda it: _from_zygote(FromZygote.GONE, it.became, *it[:-1]),
        lambda data: Gone._make((*_FROM_ZYGOTE.unpack_from(data)[1:], _text_of(data))),
    ),
    Refused: (
        lambda it: _from_zygote(FromZygote.REFUSED, it.why, it.number),
        lambda data: Refused(_FROM_ZYGOTE.unpack_from(data)[1], _text_of(data)),
    ),
}


def _text_of(data: bytes) -> str:
    return data[_FROM_ZYGOTE.size :].decode("utf-8", "replace")


def _number_alone(row: Row) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    kind, message = int(row.kind), row.message
    return lambda it: TO_ZYGOTE.pack(kind, it.number), lambda data: message(TO_ZYGOTE.unpack(data)[1])


def _text_alone(row: Row) -> tuple[Callable[[Any], bytes], Callable[[bytes], Any]]:
    kind, message = int(row.kind), row.message
    return lambda it: _from_zygote(kind, it.why), lambda data: message(_text_of(data))


for _row in TABLE:
    if _row.packing is Packing.NUMBERS and _row.message not in _NUMBERS:
        _NUMBERS[_row.message] = (_number_alone if _row.receivers is _ZYGOTE else _text_alone)(_row)


# -- JSON --------------------------------------------------------------------------------------------------------------

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
_WRITTEN = object()
"""Stands for the default of a field that is always written."""
_PARTS: tuple[type[Any], ...] = (
    *(CommonMounts, MountPlan, BeforeInit, ProgramConfig, EndpointConfig, AtEffect),
    *(LogGate, ListeningGate, LineGate, OccurrenceGate, Fault, Spot, Instruction, CountedPlace, Collect, TracedThread),
    ProcessWait,
)
"""What stands within a message."""
_GATES: dict[str, type[Any]] = {
    "log": LogGate,
    "listening": ListeningGate,
    "line": LineGate,
    "occurrence": OccurrenceGate,
    "fault": Fault,
}
_AT: dict[type[Any], str] = {gate: at for at, gate in _GATES.items()}


def _wire(name: str) -> str:
    """The name of a field in the JSON: some are words that Python, or a tuple, has for itself."""
    return name.removesuffix("_")


def _fields_of(message: type[Any]) -> tuple[tuple[str, object], ...]:
    """The names of its fields in the JSON, each with the value with which it is left out."""
    defaults = ((name, message._field_defaults.get(name, _WRITTEN)) for name in message._fields)
    return tuple(
        (_wire(name), default if default is None or default is False else _WRITTEN) for name, default in defaults
    )


_FIELDS: dict[type[Any], tuple[tuple[str, object], ...]] = {
    message: _fields_of(message)
    for message in (*(row.message for row in TABLE if row.packing is Packing.JSON), *_PARTS)
}
_PART: dict[str, type[Any]] = {
    "sandbox": MountPlan,
    "common": CommonMounts,
    "before_init": BeforeInit,
    "program": ProgramConfig,
    "endpoint": EndpointConfig,
    "at_effect": AtEffect,
    "gates": object,
    "places": CountedPlace,
    "spots": Spot,
    "instructions": Instruction,
    "collect": Collect,
    "threads": TracedThread,
    "processes": ProcessWait,
}
"""What is in a field of that name: a part, or a list of them; `object`: a gate, which says itself of which kind."""
_NESTED = frozenset(message for message in _FIELDS if not _PART.keys().isdisjoint(message._fields))
"""What has a part, or a list of them, in one of its fields."""


def _as_json(message: Any) -> JsonObject:
    kind = type(message)
    written: JsonObject = {
        name: value for (name, default), value in zip(_FIELDS[kind], message, strict=True) if value is not default
    }
    for name in _PART.keys() & written.keys() if kind in _NESTED else ():
        value = written[name]
        if isinstance(value, list):
            written[name] = [_as_json(each) for each in value]
        elif isinstance(value, tuple):
            written[name] = _as_json(value)
    if kind in _AT:
        return {"id": written.pop("id"), "at": _AT[kind], **written}
    return written


def _from_json(message: type[Any], value: Any) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is not an object")
    if message is object:
        gate = _GATES[value.pop("at")]
        return gate(**dict(zip(gate._fields, (value[_wire(name)] for name in gate._fields), strict=True)))
    for name in _PART.keys() & value.keys() if message in _NESTED else ():
        found = value[name]
        if isinstance(found, list):
            value[name] = [_from_json(_PART[name], each) for each in found]
        elif isinstance(found, dict):
            value[name] = _from_json(_PART[name], found)
    return message(**value)


# -- any message -------------------------------------------------------------------------------------------------------

M = TypeVar("M")


def _packer(row: Row) -> Callable[[Any], bytes]:
    if row.packing is Packing.NUMBERS:
        return _NUMBERS[row.message][0]
    if row.packing is Packing.EMPTY:
        whole = frame(row.kind)
        return lambda message: whole  # noqa: ARG005
    if row.message is Expect:
        return lambda message: TO_ZYGOTE.pack(EXPECT, 0) + json.dumps(_as_json(message)).encode()
    kind = int(row.kind)
    if row.message in _NESTED:
        return lambda message: frame(kind, _encode(_as_json(message)).encode("ascii"))
    fields = _FIELDS[row.message]

    def pack_flat(message: Any) -> bytes:
        written = {name: value for (name, default), value in zip(fields, message) if value is not default}  # noqa: B905
        return frame(kind, _encode(written).encode("ascii"))

    return pack_flat


def _unpacker(row: Row) -> Callable[[bytes], Any]:
    message = row.message
    if row.packing is Packing.NUMBERS:
        return _NUMBERS[message][1]
    if row.packing is Packing.EMPTY:
        return lambda body: message()  # noqa: ARG005
    if message is Expect:
        return lambda data: _from_json(Expect, json.loads(data[TO_ZYGOTE.size :]))
    if message in _NESTED:
        return lambda body: _from_json(message, json.loads(body))

    def unpack_flat(body: bytes) -> Any:
        value = json.loads(body)
        if not isinstance(value, dict):
            raise TypeError(f"{value!r} is not an object")
        return message(**value)

    return unpack_flat


_PACK: dict[type[Any], Callable[[Any], bytes]] = {row.message: _packer(row) for row in TABLE}
_UNPACK: dict[type[Any], Callable[[bytes], Any]] = {row.message: _unpacker(row) for row in TABLE}
_UNPACK_FROM_ZYGOTE: dict[int, Callable[[bytes], Any]] = {
    int(row.kind): _UNPACK[row.message] for row in TABLE if isinstance(row.kind, FromZygote)
}


_RECEIVED: dict[int, tuple[frozenset[Peer], Callable[[bytes], Any], bool]] = {
    int(row.kind): (row.senders, _UNPACK[row.message], row.packing is Packing.JSON)
    for row in TABLE
    if isinstance(row.kind, FromInstance)
}
"""By number: who may send it, how it is unpacked, and whether its fields may be of any type."""
_UNPACK_OF_TEST: dict[int, Callable[[bytes], Any]] = {
    int(row.kind): _UNPACK[row.message] for row in TABLE if isinstance(row.kind, ToInstance)
}


def pack(message: Any) -> bytes:
    """The whole frame, or packet, of a message."""
    return _PACK[type(message)](message)


def unpack(message: type[M], body: bytes) -> M:
    """The message whose frame has that *body*, or whose packet is that; one of ours, which is believed."""
    return cast("M", _UNPACK[message](body))


def unpack_from_zygote(packet: bytes) -> Any:
    """The message of the zygote that *packet* is."""
    return _UNPACK_FROM_ZYGOTE[packet[0]](packet)


def unpack_of_test(kind: int, body: bytes) -> Any:
    """The message of the test's process to an instance whose frame has that number and *body*."""
    return _UNPACK_OF_TEST[kind](body)


def received(kind: int, body: bytes, sender: Peer) -> Any:
    """The message that an instance has sent, whose code may have written anything: ``ValueError`` or ``TypeError`` for
    what is no message, or none that *sender* may send."""
    found = _RECEIVED.get(kind)
    if found is None:
        raise ValueError("there is no such message")
    senders, unpack_it, checked = found
    if sender not in senders:
        raise ValueError(f"{FromInstance(kind).name} is no message of {sender.name.lower()}")
    message = unpack_it(body)
    if checked:
        for index, allowed in enumerate(_classes_of(type(message))):
            if not isinstance(message[index], allowed):
                raise TypeError(f"{message._fields[index]} is {message[index]!r}")
    return message


_classes: dict[type[Any], tuple[tuple[type[Any], ...], ...]] = {}


def _classes_of(message: type[Any]) -> tuple[tuple[type[Any], ...], ...]:
    """Of each field: of which classes its value is."""
    known = _classes.get(message)
    if known is None:
        hints = get_type_hints(message)
        known = _classes[message] = tuple(tuple(_classes_in(hints[name])) for name in message._fields)
    return known


def _classes_in(hint: Any) -> Iterator[type[Any]]:
    origin = get_origin(hint)
    if origin is Union or (origin is not None and origin.__name__ == "UnionType"):
        for each in get_args(hint):
            yield from _classes_in(each)
    elif hint is float:
        yield from (float, int)
    else:
        yield origin or hint
