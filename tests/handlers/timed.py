"""A program of threads, tasks, signals and children that wait: given as data, it says what each wait came to, and when.

It runs as a handler, as a traced program, and as a bare process: ``python timed.py EVENT``. Of the JSON object EVENT
``unit`` is how many seconds one unit has, and ``rows`` are the programs of the threads, the first one that of the main
thread; one whose first step is ``["loop"]`` is that of the tasks of an event loop. ``listener`` is what it does at a
SIGTERM: its handler "raises" in a step of the main thread, "returns", "leaves" by sys.exit or "waits"; or the handler
is one of the loop ("in_loop"), or a thread takes the signal by sigwait ("in_thread"); the program "ignores" it, or has
no handler ("none"). With a ``port`` each row has a connection to a server there, which pushes. Each step prints a line,
so that a program which is killed has said what came before.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import fcntl
import json
import multiprocessing
import os
import queue
import sched
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

EACH = range(2)
TAKEN = 0.2
"""Units after which the main thread has taken a signal. A thread that starts another or a process before that takes it
itself, and Python calls the handler once the main thread goes on."""


FORKS = multiprocessing.get_context("fork")


def answer_after(seconds, answers):
    time.sleep(seconds)
    answers.put("answer")


class Things:
    """What the threads share."""

    def __init__(self):
        self.locks = [threading.RLock() if each else threading.Lock() for each in EACH]
        self.events = [threading.Event() for _ in EACH]
        self.semaphores = [threading.Semaphore(1) for _ in EACH]
        self.queues = [queue.SimpleQueue() if each else queue.Queue(1) for each in EACH]
        self.condition = threading.Condition()
        self.barrier = threading.Barrier(2)
        self.pipes = [os.pipe() for _ in EACH]
        self.pairs = [socket.socketpair() for _ in EACH]
        self.executor = concurrent.futures.ThreadPoolExecutor(2)
        self.file = tempfile.NamedTemporaryFile()  # noqa: SIM115  (it ends with the process)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.loop = None
        self.number = 0


class Stop(Exception):
    """The handler of SIGTERM raises it in the wait of the main thread."""


class Program:
    def __init__(self, unit, listener, port):
        self.unit = unit
        self.listener = listener
        self.port = port
        self.things = Things()
        self.pushing = []  # the connections of the rows
        self.mine = threading.local()
        self.in_step = False
        self.saying = threading.RLock()  # a signal's handler may say something meanwhile
        self.began = time.monotonic()

    def say(self, name, what, came_to):
        row = [name, what, came_to, round((time.monotonic() - self.began) / self.unit, 3)]
        with self.saying:
            sys.stdout.write(f"said {json.dumps(row)}\n")
            sys.stdout.flush()

    def run(self, rows):
        if self.port:
            self.pushing = [socket.create_connection(("127.0.0.1", self.port)) for _ in rows]
        signums = [signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2]
        if self.listener in ("raises", "returns", "leaves", "waits", "in_loop"):
            signums.append(signal.SIGTERM)
        for signum in signums:
            signal.signal(signum, lambda signum, _: self.on_signal(signum))
        threads = []
        if self.listener == "in_thread":
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            threads.append(threading.Thread(target=self.take_all, daemon=True))
        elif self.listener in ("ignores", "none"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN if self.listener == "ignores" else signal.SIG_DFL)
        for number, row in enumerate(rows):
            if row and row[0] == ["loop"]:
                target = self.tasks
            else:
                target = self.steps
            if number:
                threads.append(threading.Thread(target=target, args=(str(number), row)))
        self.began = time.monotonic()
        self.say("began", "began", None)
        for thread in threads:
            thread.start()
        (self.tasks if rows[0][0] == ["loop"] else self.steps)("0", rows[0])
        for thread in threads:
            if not thread.daemon:
                thread.join()
        signal.setitimer(signal.ITIMER_REAL, 0)
        self.things.executor.shutdown()
        self.say("end", "end", None)

    def on_signal(self, signum):
        self.say("handler", "signal", signum)
        if signum == signal.SIGUSR1:
            self.things.events[0].set()
        elif signum == signal.SIGUSR2:
            time.sleep(0.7 * self.unit)
            self.say("handler", "slept", signum)
        elif signum == signal.SIGTERM and self.listener == "leaves":
            sys.exit(3)
        elif signum == signal.SIGTERM and self.listener == "waits":
            self.things.events[1].wait(1.2 * self.unit)
            self.say("handler", "waited", signum)
        elif signum == signal.SIGTERM and self.listener == "raises" and self.in_step:
            self.in_step = False
            raise Stop

    def take_all(self):
        while True:
            self.say("taker", "signal", signal.sigwait([signal.SIGTERM]))
            self.things.events[1].set()

    def steps(self, name, row):
        is_main = threading.current_thread() is threading.main_thread()
        self.mine.row = int(name)
        for what, *given in row:
            try:
                if is_main:
                    self.in_step = True
                came_to = getattr(self, what)(*given)
            except Exception as error:
                came_to = type(error).__name__
            finally:
                if is_main:
                    self.in_step = False
            self.say(name, what, came_to)

    # -- what a thread does --------------------------------------------------------------------------------------------

    def sleep(self, for_):
        time.sleep(for_ * self.unit)

    def lock(self, which, within, for_):
        if not self.things.locks[which].acquire(timeout=within * self.unit):
            return False
        try:
            time.sleep(for_ * self.unit)
        finally:
            self.things.locks[which].release()
        return True

    def flock(self, for_):
        with open(self.things.file.name) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            time.sleep(for_ * self.unit)

    def count(self):
        with self.things.condition:
            self.things.number += 1
            self.things.condition.notify_all()

    def await_count(self, least, within):
        with self.things.condition:
            return self.things.condition.wait_for(lambda: self.things.number >= least, within * self.unit)

    def accept(self, within):
        self.things.listener.settimeout(within * self.unit)
        connection, _ = self.things.listener.accept()
        with connection:
            connection.settimeout(within * self.unit)
            return len(connection.recv(10))

    def connect(self, after):
        with socket.create_connection(self.things.listener.getsockname()) as connection:
            time.sleep(after * self.unit)
            connection.send(b"z")

    def completed(self, within, *each):
        futures = [self.things.executor.submit(time.sleep, for_ * self.unit) for for_ in each]
        found = []
        try:
            found += map(futures.index, concurrent.futures.as_completed(futures, within * self.unit))
        except concurrent.futures.TimeoutError:
            found.append("timeout")
        return found

    def tell_loop(self):
        return self.things.loop is not None and self.things.loop.tell()

    def run_in_loop(self, for_, within):
        tasks = self.things.loop
        if tasks is None or tasks.is_over:
            return None
        future = asyncio.run_coroutine_threadsafe(asyncio.sleep(for_ * self.unit), tasks.loop)
        return future.result(within * self.unit)

    def see(self, which, within):
        return self.things.events[which].wait(within * self.unit)

    def set(self, which):
        self.things.events[which].set()

    def clear(self, which):
        self.things.events[which].clear()

    def acquire(self, which, within):
        return self.things.semaphores[which].acquire(timeout=within * self.unit)

    def release(self, which):
        self.things.semaphores[which].release()

    def put(self, which, value, within):
        self.things.queues[which].put(value, timeout=within * self.unit)
        return value

    def get(self, which, within):
        return self.things.queues[which].get(timeout=within * self.unit)

    def await_notice(self, within):
        with self.things.condition:
            return self.things.condition.wait(within * self.unit)

    def notify(self, many):
        with self.things.condition:
            self.things.condition.notify(many)

    def meet(self, within):
        try:
            self.things.barrier.wait(within * self.unit)
        except threading.BrokenBarrierError:
            self.things.barrier.reset()
            raise

    def pipe(self, which):
        os.write(self.things.pipes[which][1], b"x")

    def poll_pipe(self, which, how, within):
        return self.poll(self.things.pipes[which][0], how, within)

    def poll_pushing(self, how, within):
        return self.poll(self.pushing[self.mine.row].fileno(), how, within)

    def pushed(self, within):
        connection = self.pushing[self.mine.row]
        connection.settimeout(within * self.unit)
        return connection.recv(100).decode()

    def poll(self, reader, how, within):
        seconds = within * self.unit
        if how == "select":
            ready = bool(select.select([reader], [], [], seconds)[0])
        elif how == "poll":
            poll = select.poll()
            poll.register(reader, select.POLLIN)
            ready = bool(poll.poll(seconds * 1000))
        elif how == "epoll":
            with select.epoll() as epoll:
                epoll.register(reader, select.EPOLLIN)
                ready = bool(epoll.poll(seconds))
        else:
            with selectors.DefaultSelector() as selector:
                selector.register(reader, selectors.EVENT_READ)
                ready = bool(selector.select(seconds))
        os.set_blocking(reader, False)
        try:
            return [ready, len(os.read(reader, 100))]
        except BlockingIOError:
            return [ready, 0]

    def send(self, which):
        self.things.pairs[which][1].send(b"y")

    def receive(self, which, within):
        connection = self.things.pairs[which][0]
        connection.settimeout(within * self.unit)
        return len(connection.recv(1))

    def submit(self, for_, within):
        future = self.things.executor.submit(time.sleep, for_ * self.unit)
        return future.result(within * self.unit)

    def first_of(self, one, other, within):
        futures = [self.things.executor.submit(time.sleep, each * self.unit) for each in (one, other)]
        done, _ = concurrent.futures.wait(futures, within * self.unit, concurrent.futures.FIRST_COMPLETED)
        return [future in done for future in futures]

    def in_pool(self, *each):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:  # its end waits for all
            return sum(1 for _ in pool.map(time.sleep, [for_ * self.unit for for_ in each]))

    def join(self, for_, within):
        thread = threading.Thread(target=time.sleep, args=(for_ * self.unit,), daemon=True)
        thread.start()
        thread.join(within * self.unit)
        return thread.is_alive()

    def set_later(self, which, after):
        timer = threading.Timer(after * self.unit, self.things.events[which].set)
        timer.daemon = True
        timer.start()

    def schedule(self, *after):
        found = []
        scheduler = sched.scheduler(time.monotonic, time.sleep)
        for number, each in enumerate(after):
            scheduler.enter(each * self.unit, 1, found.append, (number,))
        scheduler.run()
        return found

    def signal(self, which):
        os.kill(os.getpid(), (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)[which])
        time.sleep(TAKEN * self.unit)

    def alarm(self, after):
        signal.setitimer(signal.ITIMER_REAL, after * self.unit)

    def alarms(self, after, interval, within):
        signal.setitimer(signal.ITIMER_REAL, after * self.unit, interval * self.unit)
        time.sleep(within * self.unit)
        signal.setitimer(signal.ITIMER_REAL, 0)

    def pause(self, after):
        signal.setitimer(signal.ITIMER_REAL, after * self.unit)
        signal.pause()

    def take_signal(self, after, within):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        signal.setitimer(signal.ITIMER_REAL, after * self.unit)
        found = signal.sigtimedwait([signal.SIGALRM], within * self.unit)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
        return None if found is None else found.si_signo

    # -- children ------------------------------------------------------------------------------------------------------

    def child(self, for_, within):
        return subprocess.run(["sleep", str(for_ * self.unit)], timeout=within * self.unit, check=False).returncode

    def shell(self, first, second, within):
        script = f"sleep {first * self.unit}; echo one; sleep {second * self.unit}; echo two"
        with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as child:
            try:
                return child.communicate(timeout=within * self.unit)[0].decode()
            except subprocess.TimeoutExpired:
                child.kill()
                raise

    def lines(self, first, second):
        script = f"echo zero; sleep {first * self.unit}; echo one; sleep {second * self.unit}"
        with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE) as child:
            for line in child.stdout:
                self.say("lines", line.decode().strip(), None)
        return child.returncode

    def watch(self, for_, every):
        with subprocess.Popen(["sleep", str(for_ * self.unit)]) as child:
            looks = 0
            while child.poll() is None:
                looks += 1
                time.sleep(every * self.unit)
            return looks

    def fork(self, for_):
        pid = os.fork()
        if pid == 0:
            time.sleep(for_ * self.unit)
            os._exit(7)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def process(self, for_, within):
        process = FORKS.Process(target=time.sleep, args=(for_ * self.unit,))
        process.start()
        process.join(within * self.unit)
        found = process.exitcode
        process.kill()
        process.join()
        return found

    def from_process(self, for_, within):
        answers = FORKS.Queue()
        process = FORKS.Process(target=answer_after, args=(for_ * self.unit, answers))
        process.start()
        try:
            return answers.get(timeout=within * self.unit)
        finally:
            process.kill()
            process.join()

    def kill_child(self, for_, after):
        with subprocess.Popen(["sleep", str(for_ * self.unit)]) as child:
            time.sleep(after * self.unit)
            child.terminate()
            return child.wait()

    # -- an event loop -------------------------------------------------------------------------------------------------

    def tasks(self, name, row):
        asyncio.run(Tasks(self).all(name, row[1:]))


class Tasks:
    """Those of one loop, and what they share."""

    def __init__(self, program):
        self.program, self.unit, self.things = program, program.unit, program.things

    def tell(self):
        if self.is_over:
            return False
        self.loop.call_soon_threadsafe(self.seen.set)
        return True

    async def all(self, name, rows):
        self.row = int(name)
        self.loop, self.is_over = asyncio.get_running_loop(), False
        self.things.loop = self
        if self.program.listener == "in_loop" and name == "0":
            self.loop.add_signal_handler(signal.SIGTERM, self.on_sigterm)
        self.lock_of_tasks, self.seen = asyncio.Lock(), asyncio.Event()
        self.queue_of_tasks, self.semaphore_of_tasks = asyncio.Queue(1), asyncio.Semaphore(1)
        await asyncio.gather(*(self.task(f"{name}.{number}", row) for number, row in enumerate(rows)))
        self.is_over = True

    def on_sigterm(self):
        self.program.say("handler", "signal of the loop", None)
        self.seen.set()

    async def task(self, name, row):
        for what, *given in row:
            try:
                came_to = await getattr(self, what)(*given)
            except (asyncio.TimeoutError, TimeoutError):
                came_to = "timeout"
            self.program.say(name, what, came_to)

    async def sleep(self, for_):
        await asyncio.sleep(for_ * self.unit)

    async def lock(self, within, for_):
        await asyncio.wait_for(self.lock_of_tasks.acquire(), within * self.unit)
        await asyncio.sleep(for_ * self.unit)
        self.lock_of_tasks.release()

    async def see(self, within):
        return await asyncio.wait_for(self.seen.wait(), within * self.unit)

    async def set(self):
        self.seen.set()

    async def clear(self):
        self.seen.clear()

    async def put(self, value, within):
        await asyncio.wait_for(self.queue_of_tasks.put(value), within * self.unit)

    async def get(self, within):
        return await asyncio.wait_for(self.queue_of_tasks.get(), within * self.unit)

    async def gather(self, *each):
        await asyncio.gather(*(asyncio.sleep(for_ * self.unit) for for_ in each))

    async def first(self, within, *each):
        tasks = [asyncio.ensure_future(asyncio.sleep(for_ * self.unit)) for for_ in each]
        done, pending = await asyncio.wait(tasks, timeout=within * self.unit, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        return [task in done for task in tasks]

    async def thread(self, for_, within):
        loop = asyncio.get_running_loop()
        waits = loop.run_in_executor(None, time.sleep, for_ * self.unit)
        await asyncio.wait_for(waits, within * self.unit)

    async def later(self, after):
        asyncio.get_running_loop().call_later(after * self.unit, self.seen.set)

    async def receive(self, which, within):
        connection = self.things.pairs[which][0]
        connection.setblocking(False)
        return len(await asyncio.wait_for(asyncio.get_running_loop().sock_recv(connection, 1), within * self.unit))

    async def pushed(self, within):
        connection = self.program.pushing[self.row]
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        return (await asyncio.wait_for(loop.sock_recv(connection, 100), within * self.unit)).decode()

    async def send(self, which):
        self.things.pairs[which][1].send(b"y")

    async def event(self, which):
        self.things.events[which].set()

    async def cancel(self, for_, after):
        task = asyncio.ensure_future(asyncio.sleep(for_ * self.unit))
        await asyncio.sleep(after * self.unit)
        was_cancelled = task.cancel()
        await asyncio.wait([task])
        return [was_cancelled, task.cancelled()]

    async def shielded(self, for_, within):
        task = asyncio.ensure_future(asyncio.sleep(for_ * self.unit))
        try:
            await asyncio.wait_for(asyncio.shield(task), within * self.unit)
        finally:
            await task

    async def answered(self, after, within):
        async def answer(reader, writer):
            await reader.readline()
            await asyncio.sleep(after * self.unit)
            writer.write(b"answer\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            try:
                writer.write(b"question\n")
                return (await asyncio.wait_for(reader.readline(), within * self.unit)).decode()
            finally:
                writer.close()

    async def signal(self, which):
        os.kill(os.getpid(), (signal.SIGUSR1, signal.SIGUSR2)[which])
        await asyncio.sleep(TAKEN * self.unit)

    async def child(self, for_, within):
        child = await asyncio.create_subprocess_exec("sleep", str(for_ * self.unit))
        try:
            return await asyncio.wait_for(child.wait(), within * self.unit)
        except (asyncio.TimeoutError, TimeoutError):
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                child.kill()
            await child.wait()
            raise


def main_handler(event, context):
    Program(event["unit"], event["listener"], event["port"]).run(event["rows"])


if __name__ == "__main__":
    main_handler(json.loads(sys.argv[1]), None)
