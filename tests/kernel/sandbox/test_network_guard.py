"""``network="loopback"``: what would leave this machine is refused, with the user's line and what to do."""

from __future__ import annotations

import errno
import re
import socket

import pytest
from internals import event_of
from process_support import user_lines

from pytest_scf_async import ScfUsageError

# once: the kernel's side, and the test's: the same on all Pythons
pytestmark = pytest.mark.once

IMPORTS = """
import asyncio, errno, http.client, os, socket, ssl, urllib.request
def attempt(call):
    try:
        call()
    except Exception as error:
        return [type(error).__name__, getattr(error, "errno", None), str(error)]
    return None
"""
NOWHERE = "192.0.2.1"  # a network for documents: nothing answers

ATTEMPTS = {
    "connect": (f's.connect(("{NOWHERE}", 80))', "connection to 192.0.2.1:80"),
    "connect_ex": (f's.connect_ex(("{NOWHERE}", 80))', "connection to 192.0.2.1:80"),
    "connect to a name": ('s.connect(("example.com", 80))', "connection to example.com:80"),
    "IPv6": ('six.connect(("2001:db8::1", 80))', "connection to [2001:db8::1]:80"),
    "IPv6 of IPv4": (f'six.connect(("::ffff:{NOWHERE}", 80))', "connection to [::ffff:192.0.2.1]:80"),
    "bytes": ('s.connect((b"example.com", 80))', "connection to example.com:80"),
    "create_connection": (f'socket.create_connection(("{NOWHERE}", 443))', "connection to 192.0.2.1:443"),
    "sendto": (f'd.sendto(b"x", ("{NOWHERE}", 53))', "datagram to 192.0.2.1:53"),
    "sendto with flags": (f'd.sendto(b"x", 0, ("{NOWHERE}", 53))', "datagram to 192.0.2.1:53"),
    "sendmsg": (f'd.sendmsg([b"x"], [], 0, ("{NOWHERE}", 53))', "datagram to 192.0.2.1:53"),
    "broadcast": ('d.sendto(b"x", ("<broadcast>", 53))', "datagram to <broadcast>:53"),
    "urllib by number": (f'urllib.request.urlopen("http://{NOWHERE}/")', "connection to 192.0.2.1:80"),
    "asyncio by number": (f'asyncio.run(asyncio.open_connection("{NOWHERE}", 80))', "connection to 192.0.2.1:80"),
    "TLS": (
        f'ssl.create_default_context().wrap_socket(s, server_hostname="a.example").connect(("{NOWHERE}", 443))',
        "connection to 192.0.2.1:443",
    ),
}
LOOK_UPS = {
    "getaddrinfo": 'socket.getaddrinfo("example.com", 80)',
    "getaddrinfo with keywords": 'socket.getaddrinfo(host="example.com", port=80)',
    "getaddrinfo of bytes": 'socket.getaddrinfo(b"example.com", 80)',
    "gethostbyname": 'socket.gethostbyname("example.com")',
    "gethostbyname_ex": 'socket.gethostbyname_ex("example.com")',
    "gethostbyaddr": 'socket.gethostbyaddr("example.com")',
    "create_connection": 'socket.create_connection(("example.com", 80))',
    "http.client": 'http.client.HTTPConnection("example.com").request("GET", "/")',
}


def handler(call: str) -> str:
    used = [name for name in ("asyncio", "http.client", "ssl", "urllib.request") if name in call]  # each takes long
    imports = re.sub("import .*", f"import {', '.join(['errno', 'os', 'socket', *used])}", IMPORTS, count=1)
    return f"""{imports}
def main_handler(event, context):
    s, d = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
    six = socket.socket(socket.AF_INET6)
    return attempt(lambda: {call})
"""


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_what_would_leave_the_machine_is_refused(deploy, attempt):
    call, what = ATTEMPTS[attempt]
    function = deploy(handler(call))

    kind, number, text = function.run()

    assert kind == ("URLError" if "urllib" in attempt else "ConnectionRefusedError")
    assert number == (None if "urllib" in attempt else errno.ECONNREFUSED)
    assert f"{what} refused at " in text
    assert 'index.py:13: this function has network="loopback"' in text
    assert "deploy(..., before_init=...)" in text
    assert 'network="all"' in text
    event = function.events[0]
    assert f'+0 s  instance  {what} refused at {event_of(event).function.code.entry}:13 (network="loopback")' in (
        event.timeline
    )


@pytest.mark.parametrize("attempt", LOOK_UPS)
def test_a_name_is_not_looked_up(deploy, attempt):
    function = deploy(handler(LOOK_UPS[attempt]))

    kind, number, text = function.run()

    assert (kind, number) == ("gaierror", -2)
    what = "address" if attempt == "gethostbyaddr" else "name"
    assert f"look-up of the {what} 'example.com' refused at " in text
    assert "index.py:13: this function has" in text


def test_the_number_of_a_name_is_not_looked_up_either(deploy):
    kind, _, text = deploy(handler(f'socket.getnameinfo(("{NOWHERE}", 80), 0)')).run()

    assert kind == "gaierror"
    assert f"look-up of the address '{NOWHERE}' refused" in text


def test_the_line_is_the_users_and_not_a_librarys(deploy, tmp_path):
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "library.py").write_text(
        f"import socket\n\n\ndef fetch():\n    return socket.create_connection(('{NOWHERE}', 80))\n"
    )
    function = deploy(
        f"""
        import sys
        sys.path.append({str(packages)!r})
        import library
        def main_handler(event, context):
            library.fetch()
        """
    )
    event = function.invoke_async()
    event.wait()

    assert event.status_code == 430
    assert "index.py:6: this function has" in event.error["stackTrace"]
    assert "bootstrap" not in event.error["stackTrace"]
    assert "/pytest_scf_async/" not in event.error["stackTrace"]


def test_loopback_unix_sockets_and_this_machines_own_names_are_open(deploy):
    event = deploy(
        IMPORTS
        + """
def serve(family, address):
    server = socket.socket(family)
    server.bind(address)
    server.listen()
    return server

def main_handler(event, context):
    four = serve(socket.AF_INET, ("127.0.0.1", 0))
    port = four.getsockname()[1]
    for host in ("127.0.0.1", "localhost", "LOCALHOST", "", "0.0.0.0", "127.1", b"127.0.0.1"):
        socket.socket().connect((host, port))
    assert socket.socket().connect_ex(("127.0.0.1", port)) == 0
    socket.create_connection(("localhost", port))
    if socket.has_ipv6 and os.path.exists("/proc/net/if_inet6") and open("/proc/net/if_inet6").read():
        six = serve(socket.AF_INET6, ("::1", 0))
        socket.socket(socket.AF_INET6).connect(("::1", six.getsockname()[1]))
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), "own.sock")
    unix = serve(socket.AF_UNIX, path)
    socket.socket(socket.AF_UNIX).connect(path)
    a, b = socket.socketpair()
    a.sendmsg([b"x"])
    datagrams = socket.socket(type=socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    datagrams.sendto(b"y", datagrams.getsockname())
    datagrams.connect(datagrams.getsockname())
    datagrams.sendmsg([b"z"])
    socket.gethostbyname("localhost")
    socket.getaddrinfo("192.0.2.7", 80)
    socket.getaddrinfo(None, 80)
    socket.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    socket.inet_aton("192.0.2.7")
    return [b.recv(1).decode(), datagrams.recv(1).decode(), datagrams.recv(1).decode()]
"""
    ).invoke_async()

    assert event.wait().result == ["x", "y", "z"], str(event.log)
    assert '(network="loopback")' not in event.timeline  # [::1] may refuse: some machines call both addresses localhost


@pytest.mark.parametrize(
    "call",
    ["s.connect(5)", "s.connect(('127.0.0.1',))", "s.connect((5, 5))", "s.connect()", "d.sendto(b'x')", "d.sendmsg(5)"],
)
def test_wrong_arguments_are_the_errors_of_the_standard_library(deploy, call):
    kind, _, text = deploy(handler(call)).run()

    assert kind == "TypeError"
    assert "refused" not in text


def test_all_lets_everything_out(deploy):
    event = deploy(
        IMPORTS
        + f"""
def main_handler(event, context):
    d = socket.socket(type=socket.SOCK_DGRAM)
    return attempt(lambda: d.connect(("{NOWHERE}", 9)))
""",
        network="all",
    ).invoke_async()
    event.wait()

    assert event.result is None or event.result[1] == errno.ENETUNREACH  # a machine without a network


def test_a_fork_of_the_handler_is_guarded_too(deploy):
    event = deploy(
        IMPORTS
        + f"""
def main_handler(event, context):
    pid = os.fork()
    if pid == 0:
        print(attempt(lambda: socket.socket().connect(("{NOWHERE}", 80)))[0])
        os._exit(0)
    os.waitpid(pid, 0)
"""
    ).invoke_async()
    event.wait()

    assert user_lines(event) == ["ConnectionRefusedError"]


def test_the_setting_is_the_default_and_deploy_wins(make_runtime, deploy):
    source = handler(f's.connect(("{NOWHERE}", 80))').replace("socket.socket()", "socket.socket(type=2)", 1)
    open_runtime = make_runtime(network="all")

    assert "refused at" in deploy(source, to=open_runtime, network="loopback").run()[2]
    function = deploy(source, to=open_runtime)
    assert function.configuration.network == "all"
    result = function.run()
    assert result is None or "refused at" not in result[2]


@pytest.mark.parametrize("value", ["none", "LOOPBACK", True, 1])
def test_a_wrong_value_is_refused(deploy, value):
    with pytest.raises(
        ScfUsageError,
        match=r"network=.* \(deploy\(...\)\) is not valid: it must be 'loopback' or "
        r"'all'",
    ):
        deploy(IMPORTS, network=value)


@pytest.mark.parametrize("value", ["redis-server", ["/usr/bin/redis-server"], [""], [5], 5])
def test_wrong_names_of_background_programs_are_refused(deploy, value):
    with pytest.raises(
        ScfUsageError,
        match=r"background=.* \(deploy\(...\)\) is not valid: it must be a sequence of "
        r"names",
    ):
        deploy(IMPORTS, background=value)


LISTENS = """
import asyncio, socket
def address_of(server):
    # What the kernel says of a server, whatever its methods are.
    import _socket
    raw = _socket.socket(fileno=server.fileno())
    try:
        return raw.getsockname()[0]
    finally:
        raw.detach()
def of_asyncio():
    async def main():
        server = await asyncio.start_server(lambda *_: None, None, 0)
        return sorted(address_of(s) for s in server.sockets)
    return asyncio.run(main())
def unbound():
    server = socket.socket()
    server.listen()
    return address_of(server)
def main_handler(event, context):
    return eval(event)
"""


@pytest.mark.parametrize("network", ["loopback", "all"])
@pytest.mark.parametrize(
    ("call", "address"),
    [
        ('address_of(socket.create_server(("0.0.0.0", 0)))', "127.0.0.1"),
        ('address_of(socket.create_server(("", 0)))', "127.0.0.1"),
        ('address_of(socket.create_server((b"", 0)))', "127.0.0.1"),
        ('address_of(socket.create_server(("localhost", 0)))', "127.0.0.1"),
        ('address_of(socket.create_server(("::", 0), family=socket.AF_INET6))', "::1"),
        ('address_of(socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True))', "::ffff:127.0.0.1"),
        ("of_asyncio()", ["127.0.0.1", "::1"]),
        ("unbound()", "127.0.0.1"),
    ],
)
def test_a_server_of_a_handler_listens_on_loopback_only(deploy, network, call, address):
    assert deploy(LISTENS, network=network).run(call) == address


def test_another_address_to_listen_on_is_refused(deploy):
    function = deploy(f"""{IMPORTS}
def main_handler(event, context):
    return attempt(lambda: socket.create_server(("{NOWHERE}", 8000)))
    """)

    name, number, text = function.run()

    assert (name, number) == ("OSError", errno.EADDRNOTAVAIL)
    assert f"listening on {NOWHERE}:8000 refused at " in text
    assert "an instance may listen on this machine's loopback only; bind to '' or '127.0.0.1'" in text


def test_where_nothing_listens_the_timeline_names_the_address_once(deploy):
    event = deploy(
        IMPORTS
        + """
def main_handler(event, context):
    free = socket.socket()
    free.bind(("127.0.0.1", 0))
    address = free.getsockname()
    free.close()
    found = []
    for _ in range(3):
        with socket.socket() as client:
            found.append(attempt(lambda: client.connect(address)))
    return [address[1], found]
"""
    ).invoke_async()

    port, found = event.wait().result

    assert [kind for kind, *_ in found] == ["ConnectionRefusedError"] * 3
    assert event.timeline.count(f"connection to 127.0.0.1:{port} refused: nothing listens there") == 1


OTHER_ADDRESS_FIRST = """
import asyncio, socket

def main_handler(event, context):
    name, port = event
    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in ("127.0.0.2", "127.0.0.1")]
    socket.getaddrinfo = lambda *arguments, **keywords: addresses  # as localhost is [::1] first on many machines
    globals()[name](port)

def blocks(port):
    socket.create_connection(("localhost", port)).close()

async def opens(port):
    reader, writer = await asyncio.open_connection("localhost", port)
    writer.close()

def awaits(port):
    asyncio.run(opens(port))
"""


def test_a_refused_attempt_is_a_row_where_the_next_one_succeeds_and_names_no_port_of_the_kernels(deploy):
    function = deploy(OTHER_ADDRESS_FIRST)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        blocks = function.invoke_async(["blocks", port]).wait()
        awaits = function.invoke_async(["awaits", port]).wait()
    assert [blocks.status, awaits.status] == ["FINISHED"] * 2
    assert f"+0 s  instance  connection to 127.0.0.2:{port} refused: nothing listens there\n" in blocks.timeline
    assert "wait      asyncio.open_connection at index.py:14\n" in awaits.timeline
    assert "wait      await at index.py:14 in Task-1 on a socket without a connection yet\n" in awaits.timeline
