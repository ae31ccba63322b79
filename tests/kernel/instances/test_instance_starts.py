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


def forked() -> tuple[Watched, list[tuple[int, ...]], list[Instance]]:
    instance = Watched.__new__(Watched)
    starts: list[tuple[int, ...]] = []
    reports: list[Instance] = []
    instance._disk = []
    instance.status = instance.refused = None
    instance.hint = messages.Expect(messages.CommonMounts([], []), inodes=[], code=[], environment={}, parts={})
    instance.sandbox = SimpleNamespace(started=lambda *given: starts.append(given))  # type: ignore[assignment]
    instance.owner = SimpleNamespace(instance_reported=reports.append)  # type: ignore[assignment]
    return instance, starts, reports


def test_the_disk_is_there_once_the_process_can_be_seen() -> None:
    instance, _, _ = forked()
    instance.spawned(PID, [PIDFD, TMP])
    assert (instance.pid, instance.pidfd, instance.seen) == (PID, PIDFD, [[TMP]])


def test_its_owner_takes_the_start_once_whichever_thread_comes_first() -> None:
    instance, starts, reports = forked()
    instance.spawned(PID, [PIDFD, TMP])  # it has no owner yet, who asks when it has become one
    assert (starts, reports) == ([], [])
    assert [instance.take_start(), instance.take_start()] == [True, False]
    assert starts == [(PID, TMP)]

    instance, starts, reports = forked()
    instance.called = True
    assert not instance.take_start()
    instance.spawned(PID, [PIDFD, TMP])
    assert (starts, reports) == ([], [instance])  # in that thread nothing is done with it
    assert [instance.take_start(), instance.take_start()] == [True, False]
    assert starts == [(PID, TMP)]


def test_its_owner_takes_the_end_once_and_not_of_what_is_released() -> None:
    instance, _, reports = forked()
    instance.called = True
    assert not instance.take_end()
    instance.ended(messages.Gone(1, 9, 0, 0))
    assert reports == [instance]
    assert [instance.take_end(), instance.take_end()] == [True, False]

    instance, _, _ = forked()
    instance.ended(messages.Gone(1, 9, 0, 0))
    instance.released = True
    assert not instance.take_end()
