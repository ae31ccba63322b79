"""A start of an instance whose process another thread receives: what belongs to its disk is there with its process."""

from __future__ import annotations

from types import SimpleNamespace

from internals import Instance, messages

PID, PIDFD, TMP = 7, 100, 101


class Watched(Instance):
    """What an instance has of its disk at the very moment at which another thread can see that its process is there."""

    _pidfd: int | None = None
    seen: list[list[int]] | None = None

    @property
    def pidfd(self) -> int | None:  # type: ignore[override]
        return self._pidfd

    @pidfd.setter
    def pidfd(self, value: int | None) -> None:
        self._pidfd = value
        self.seen = [list(each) for each in self._disk]


def forked() -> tuple[Watched, list[tuple[int, ...]]]:
    instance = Watched.__new__(Watched)
    starts: list[tuple[int, ...]] = []
    instance._disk = []
    instance.hint = messages.Expect(messages.CommonMounts([], []), inodes=[], code=[], environment={})
    instance.sandbox = SimpleNamespace(started=lambda *given: starts.append(given))  # type: ignore[assignment]
    instance.owner = SimpleNamespace(instance_started=lambda _: None)  # type: ignore[assignment]
    return instance, starts


def test_the_disk_is_there_once_the_process_can_be_seen() -> None:
    instance, _ = forked()
    instance.spawned(PID, [PIDFD, TMP])
    assert (instance.pid, instance.pidfd, instance.seen) == (PID, PIDFD, [[TMP]])


def test_the_sandbox_is_started_once_whichever_thread_comes_first() -> None:
    instance, starts = forked()
    instance.spawned(PID, [PIDFD, TMP])  # the owner's thread has not called it yet
    assert starts == []
    instance._start_sandbox()
    instance._start_sandbox()
    assert starts == [(PID, TMP)]

    instance, starts = forked()
    instance.called = True
    instance.spawned(PID, [PIDFD, TMP])
    instance._start_sandbox()
    assert starts == [(PID, TMP)]
