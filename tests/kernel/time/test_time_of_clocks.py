"""All clocks of an instance show the simulated time, and the same one."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from process_support import START, user_lines

from pytest_scf_async.runtime import ScfRuntime

pytestmark = [pytest.mark.interpreter, pytest.mark.leases]

READ_ALL = """
    import calendar, datetime, json, time

    def read():
        ns = time.time_ns()
        return {
            "time": time.time(),
            "time_ns": ns,
            "monotonic": time.monotonic(),
            "monotonic_ns": time.monotonic_ns(),
            "perf_counter": time.perf_counter(),
            "perf_counter_ns": time.perf_counter_ns(),
            "realtime": time.clock_gettime(time.CLOCK_REALTIME),
            "realtime_ns": time.clock_gettime_ns(time.CLOCK_REALTIME),
            "boottime": time.clock_gettime(time.CLOCK_BOOTTIME),
            "monotonic_raw_ns": time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW),
            "now": datetime.datetime.now().isoformat(),
            "today": datetime.datetime.today().isoformat(),
            "utcnow": datetime.datetime.utcnow().isoformat(),
            "now_utc": datetime.datetime.now(datetime.timezone.utc).isoformat(),
            "now_shanghai": datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=8))).isoformat(),
            "now_tz_keyword": datetime.datetime.now(tz=datetime.timezone.utc).isoformat(),
            "timestamp": datetime.datetime.now().timestamp(),
            "date": datetime.date.today().isoformat(),
            "localtime": list(time.localtime()),
            "gmtime": calendar.timegm(time.gmtime()),
            "mktime": time.mktime(time.localtime()),
            "ctime": time.ctime(),
            "asctime": time.asctime(),
            "strftime": time.strftime("%Y-%m-%d %H:%M:%S"),
            "strftime_zone": time.strftime("%H:%M %Z"),
        }
"""


def expected(instant: datetime, zone: timezone = timezone.utc, zone_name: str = "UTC") -> dict[str, object]:
    """What all clocks show at *instant*, an hour of uptime at START included."""
    epoch = datetime(1970, 1, 1, tzinfo=timezone.utc)
    microseconds = (instant - epoch) // timedelta(microseconds=1)
    up = (instant - START) // timedelta(microseconds=1) + 3_600_000_000
    local = instant.astimezone(zone).replace(tzinfo=None)
    return {
        "time": microseconds / 1e6,
        "time_ns": microseconds * 1_000,
        "monotonic": up / 1e6,
        "monotonic_ns": up * 1_000,
        "perf_counter": up / 1e6,
        "perf_counter_ns": up * 1_000,
        "realtime": microseconds / 1e6,
        "realtime_ns": microseconds * 1_000,
        "boottime": up / 1e6,
        "monotonic_raw_ns": up * 1_000,
        "now": local.isoformat(),
        "today": local.isoformat(),
        "utcnow": instant.replace(tzinfo=None).isoformat(),
        "now_utc": instant.isoformat(),
        "now_shanghai": instant.astimezone(timezone(timedelta(hours=8))).isoformat(),
        "now_tz_keyword": instant.isoformat(),
        "timestamp": microseconds / 1e6,
        "date": local.date().isoformat(),
        "localtime": [*local.timetuple()[:8], 0],
        "gmtime": microseconds // 1_000_000,
        "mktime": float(microseconds // 1_000_000),
        "ctime": local.ctime(),
        "asctime": local.ctime(),
        "strftime": local.strftime("%Y-%m-%d %H:%M:%S"),
        "strftime_zone": local.strftime("%H:%M ") + zone_name,
    }


def test_all_clocks_agree_before_and_after_sleeps(deploy) -> None:
    source = (
        READ_ALL
        + """
    def main_handler(event, context):
        readings = [read()]
        for seconds in event:
            time.sleep(seconds)
            readings.append(read())
        return readings
    """
    )
    sleeps = [1, 0.000001, 0.123456, 3_599.5, 86_399.999999, 0.25]
    event = deploy(source, timeout=86_400 * 3 // 3).invoke_async([*sleeps[:4], *sleeps[5:]])

    readings = event.wait().result

    instant = START
    assert readings[0] == expected(instant)
    for seconds, reading in zip([*sleeps[:4], *sleeps[5:]], readings[1:], strict=True):
        instant += timedelta(seconds=seconds)
        assert reading == expected(instant)


def test_a_day_of_sleep_changes_the_date(deploy) -> None:
    source = (
        READ_ALL
        + """
    def main_handler(event, context):
        first = read()
        time.sleep(86_399.999999)
        return [first, read()]
    """
    )
    readings = deploy(source).run()

    assert readings == [expected(START), expected(START + timedelta(seconds=86_399, microseconds=999_999))]


def test_the_tests_clock_and_the_handlers_are_one(deploy, runtime: ScfRuntime) -> None:
    function = deploy(
        """
        import time

        def main_handler(event, context):
            time.sleep(12.5)
            return time.time_ns()
        """
    )
    runtime.clock.advance(1_000)
    event = function.invoke_async()

    assert event.wait().result == runtime.clock.now_us * 1_000
    assert runtime.clock.now == START + timedelta(seconds=1_012.5)


def test_names_that_were_imported_from_their_modules_are_simulated_too(deploy) -> None:
    lines = deploy(
        """
        from datetime import date, datetime
        from time import localtime, monotonic, perf_counter, sleep, strftime, time, time_ns

        started = datetime.now()
        def main_handler(event, context):
            before = (time(), monotonic(), perf_counter(), time_ns())
            sleep(3600)
            after = (time(), monotonic(), perf_counter(), time_ns())
            return {
                "passed": [b - a for a, b in zip(before, after)],
                "started": str(started),
                "now": str(datetime.now()),
                "date": str(date.today()),
                "hour": localtime().tm_hour,
                "text": strftime("%H"),
            }
        """
    ).run()

    assert lines == {
        "passed": [3600.0, 3600.0, 3600.0, 3_600_000_000_000],
        "started": "2026-01-01 00:00:00",
        "now": "2026-01-01 01:00:00",
        "date": "2026-01-01",
        "hour": 1,
        "text": "01",
    }


# -- time zones ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host_zone", ["Asia/Tokyo", "America/New_York", "XYZ-3"])
def test_without_tz_an_instance_is_in_utc_whatever_the_hosts_zone(
    deploy, monkeypatch: pytest.MonkeyPatch, host_zone: str
) -> None:
    monkeypatch.setenv("TZ", host_zone)
    source = (
        READ_ALL
        + """
    def main_handler(event, context):
        import os
        return {**read(), "TZ": os.environ.get("TZ"), "timezone": time.timezone, "tzname": list(time.tzname)}
    """
    )

    assert deploy(source).run() == {
        **expected(START),
        "TZ": None,
        "timezone": 0,
        "tzname": ["UTC", "UTC"],
    }


@pytest.mark.parametrize(
    ("zone", "hours", "name"), [("Asia/Shanghai", 8, "CST"), ("UTC", 0, "UTC"), ("XYZ+3:30", -3.5, "XYZ")]
)
def test_local_time_follows_tz_of_the_functions_environment(deploy, zone: str, hours: float, name: str) -> None:
    source = (
        READ_ALL
        + """
    def main_handler(event, context):
        time.sleep(59.5)
        return read()
    """
    )
    local = timezone(timedelta(hours=hours))

    reading = deploy(source, environment={"TZ": zone}).run()

    assert reading == expected(START + timedelta(seconds=59.5), local, name)


def test_a_zone_with_summer_time_is_followed_through_the_change(deploy, runtime: ScfRuntime) -> None:
    function = deploy(
        """
        import datetime, time

        def main_handler(event, context):
            seen = []
            for _ in range(2):
                now = datetime.datetime.now()
                seen.append([str(now), time.strftime("%H:%M:%S %Z"), now.astimezone().isoformat(), now.timestamp()])
                time.sleep(1)
            return seen
        """,
        environment={"TZ": "Europe/Berlin"},
    )
    runtime.clock.move_to(datetime(2026, 3, 29, 0, 59, 59, tzinfo=timezone.utc))
    before = runtime.clock.time()

    assert function.run() == [
        ["2026-03-29 01:59:59", "01:59:59 CET", "2026-03-29T01:59:59+01:00", before],
        ["2026-03-29 03:00:00", "03:00:00 CEST", "2026-03-29T03:00:00+02:00", before + 1],
    ]


def test_a_handler_may_change_tz_with_tzset_and_take_it_back(deploy) -> None:
    source = (
        READ_ALL
        + """
    def main_handler(event, context):
        import os
        readings = [read()]
        os.environ["TZ"] = "Asia/Shanghai"
        time.tzset()
        readings.append(read())
        del os.environ["TZ"]
        time.tzset()
        readings.append(read())
        return readings
    """
    )

    assert deploy(source).run() == [
        expected(START),
        expected(START, timezone(timedelta(hours=8)), "CST"),
        expected(START),
    ]


def test_times_with_arguments_are_converted_and_not_replaced(deploy) -> None:
    result = deploy(
        """
        import datetime, time

        def main_handler(event, context):
            return [
                time.gmtime(0).tm_year, time.localtime(86400).tm_mday, time.ctime(0),
                time.strftime("%Y", time.gmtime(0)),
                time.asctime(time.gmtime(1)), str(datetime.datetime.fromtimestamp(0)),
                str(datetime.datetime.fromtimestamp(1.5, datetime.timezone.utc)),
                str(datetime.datetime.utcfromtimestamp(2)), str(datetime.date.fromtimestamp(86400)),
                str(datetime.datetime(2000, 1, 1).timestamp()),
            ]
        """
    ).run()

    assert result == [
        1970,
        2,
        "Thu Jan  1 00:00:00 1970",
        "1970",
        "Thu Jan  1 00:00:01 1970",
        "1970-01-01 00:00:00",
        "1970-01-01 00:00:01.500000+00:00",
        "1970-01-01 00:00:02",
        "1970-01-02",
        "946684800.0",
    ]


# -- datetime is still datetime --------------------------------------------------------------------------------------


def test_arithmetic_comparison_pickle_copy_json_and_isinstance_work_as_ever(deploy) -> None:
    result = deploy(
        """
        import copy, datetime, json, pickle, time
        from datetime import timedelta

        def main_handler(event, context):
            before = datetime.datetime.now()
            time.sleep(1.5)
            after = datetime.datetime.now()
            zone = datetime.timezone.utc
            aware = datetime.datetime.now(zone)
            assert after - before == timedelta(seconds=1.5)
            assert before + timedelta(seconds=1.5) == after and after - timedelta(seconds=1.5) == before
            assert before < after and after >= before and max(before, after) == after and before != after
            assert isinstance(after, datetime.datetime) and isinstance(after, datetime.date)
            assert isinstance(after - timedelta(1), datetime.datetime)
            assert isinstance(datetime.datetime(2000, 1, 1), datetime.datetime)
            assert isinstance(datetime.date.today(), datetime.date)
            assert not isinstance(datetime.date.today(), datetime.datetime)
            assert issubclass(datetime.datetime, datetime.date)
            assert pickle.loads(pickle.dumps(after)) == after and pickle.loads(pickle.dumps(aware)) == aware
            assert copy.deepcopy(after) == after
            assert hash(after) == hash(datetime.datetime(2026, 1, 1, 0, 0, 1, 500000))
            assert {after: 1}[datetime.datetime(2026, 1, 1, 0, 0, 1, 500000)] == 1
            assert aware.astimezone(datetime.timezone(timedelta(hours=8))).hour == 8
            assert datetime.datetime.fromisoformat(after.isoformat()) == after
            assert datetime.datetime.strptime("2026-01-01", "%Y-%m-%d") == datetime.datetime.combine(
                datetime.date.today(), datetime.time())
            assert after.replace(year=2000).year == 2000
            assert datetime.date.today() - datetime.date(2025, 12, 31) == timedelta(1)
            assert f"{after:%H:%M:%S}" == "00:00:01"

            class Mine(datetime.datetime):
                pass
            assert isinstance(Mine(2020, 1, 1), Mine)
            text = json.loads(json.dumps({"at": after.isoformat()}))["at"]
            names = [type(after).__name__, type(after).__qualname__, type(after).__module__]
            return [text, names, repr(after), repr(aware), repr(datetime.date.today()), repr(Mine(2020, 1, 1))]
        """
    ).run()

    assert result == [
        "2026-01-01T00:00:01.500000",
        ["datetime", "datetime", "datetime"],
        "datetime.datetime(2026, 1, 1, 0, 0, 1, 500000)",
        "datetime.datetime(2026, 1, 1, 0, 0, 1, 500000, tzinfo=datetime.timezone.utc)",
        "datetime.date(2026, 1, 1)",
        "Mine(2020, 1, 1, 0, 0)",
    ]


def test_a_class_of_a_date_may_have_a_metaclass_of_its_own(deploy) -> None:
    result = deploy("""
        import datetime

        class Meta(type):
            pass

        class Day(datetime.date, metaclass=Meta):
            limit = datetime.timedelta(days=1)

        def conflict():
            bodies = []
            class Other(type):
                pass
            try:
                class Both(datetime.date, Day, metaclass=Other):
                    bodies.append(1)
            except TypeError as error:
                return [bodies, str(error)[:18]]

        def main_handler(event, context):
            day = Day(2020, 2, 3)
            return [
                isinstance(day, datetime.date),
                issubclass(Day, datetime.date),
                type(Day) is Meta,
                day.isoformat(),
                (day + Day.limit).isoformat(),
                Day.today() == datetime.date.today(),
                conflict(),
            ]
    """).run()

    assert result == [True, True, True, "2020-02-03", "2020-02-04", True, [[], "metaclass conflict"]]


def test_a_zoneinfo_zone_and_a_naive_astimezone_are_right(deploy) -> None:
    result = deploy(
        """
        import datetime
        from zoneinfo import ZoneInfo

        def main_handler(event, context):
            return [
                datetime.datetime.now(ZoneInfo("America/New_York")).isoformat(),
                datetime.datetime.now().astimezone().isoformat(),
                datetime.datetime.now().astimezone(ZoneInfo("Asia/Tokyo")).isoformat(),
            ]
        """,
        environment={"TZ": "Asia/Shanghai"},
    ).run()

    assert result == ["2025-12-31T19:00:00-05:00", "2026-01-01T08:00:00+08:00", "2026-01-01T09:00:00+09:00"]


# -- what reads clocks by itself -------------------------------------------------------------------------------------


def test_logging_stamps_its_records_with_the_simulated_time(deploy) -> None:
    event = deploy(
        """
        import logging, sys, time

        def main_handler(event, context):
            form = "%(asctime)s %(created).3f %(message)s"
            logging.basicConfig(stream=sys.stdout, level=logging.INFO, format=form, force=True)
            logging.info("first")
            time.sleep(90.5)
            logging.info("second")
        """
    ).invoke_async()

    assert user_lines(event.wait()) == [
        "2026-01-01 00:00:00,000 1767225600.000 first",
        "2026-01-01 00:01:30,500 1767225690.500 second",
    ]


def test_uuid1_has_the_simulated_time(deploy) -> None:
    ticks = deploy(
        """
        import time, uuid

        def main_handler(event, context):
            first = uuid.uuid1(node=1)
            time.sleep(10)
            return [first.time, uuid.uuid1(node=1).time]
        """
    ).run()

    since_1582 = datetime(1970, 1, 1, tzinfo=timezone.utc) - datetime(1582, 10, 15, tzinfo=timezone.utc)
    first = (START.timestamp() + since_1582.total_seconds()) * 10_000_000
    assert ticks == [first, first + 100_000_000]


def test_process_and_thread_time_stay_real(deploy) -> None:
    used = deploy(
        """
        import time

        def main_handler(event, context):
            before = (time.process_time(), time.thread_time_ns(), time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID))
            time.sleep(3600)
            sum(range(200_000))
            after = (time.process_time(), time.thread_time_ns(), time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID))
            return [b - a for a, b in zip(before, after)]
        """
    ).run()

    assert 0 < used[0] < 60
    assert 0 < used[1] < 60_000_000_000
    assert 0 < used[2] < 60


def test_a_freeze_of_the_handlers_own_nests_and_ends(deploy) -> None:
    result = deploy(
        """
        import datetime, time
        from freezegun import freeze_time

        def read():
            return [str(datetime.datetime.now()), str(datetime.date.today()), time.time(), time.strftime("%Y"),
                    time.localtime().tm_year, time.time_ns()]

        def main_handler(event, context):
            readings = [read()]
            with freeze_time("2020-02-03 04:05:06") as frozen:
                readings.append(read())
                time.sleep(10)
                readings.append(read())
                frozen.tick(1)
                readings.append(read())
                with freeze_time("2001-01-01"):
                    readings.append(read())
            readings.append(read())
            return readings
        """
    ).run()

    def reading(instant: datetime) -> list[object]:
        stamp = int(instant.timestamp())
        naive = instant.replace(tzinfo=None)
        return [str(naive), str(naive.date()), stamp, str(naive.year), naive.year, stamp * 1_000_000_000]

    frozen = datetime(2020, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
    assert result == [
        reading(START),
        reading(frozen),
        reading(frozen),
        reading(frozen + timedelta(seconds=1)),
        reading(datetime(2001, 1, 1, tzinfo=timezone.utc)),
        reading(START + timedelta(seconds=10)),
    ]


def test_a_clock_as_a_classs_attribute_does_not_become_a_method(deploy) -> None:
    result = deploy(
        """
        import time

        class Retry:
            clock = time.monotonic
            wall = time.time
            sleep = time.sleep
            localtime = converter = time.localtime

            def run(self):
                before = self.clock()
                self.sleep(2)
                return [self.clock() - before, self.wall(), self.converter(0).tm_year, self.localtime().tm_sec]

        def main_handler(event, context):
            return Retry().run() + [repr(time.time), time.sleep.__name__]
        """
    ).run()

    assert result == [2.0, START.timestamp() + 2, 1970, 2, "<built-in function time>", "sleep"]


def test_what_a_handler_pickles_can_be_read_outside(deploy, tmp_path) -> None:
    path = tmp_path / "state.pickle"
    deploy(
        """
        import datetime, pickle, time

        def main_handler(event, context):
            with open(event, "wb") as file:
                state = [datetime.datetime.now(), datetime.date.today(), datetime.datetime.now(datetime.timezone.utc)]
                pickle.dump([*state, time.sleep, time.monotonic], file)
        """
    ).run(str(path))

    import pickle
    import time

    state = pickle.loads(path.read_bytes())  # noqa: S301

    assert state == [START.replace(tzinfo=None), START.date(), START, time.sleep, time.monotonic]
    assert [type(value) for value in state[:3]] == [datetime, type(START.date()), datetime]


# -- loops that poll the clock ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "read",
    ["time.time()", "time.monotonic()", "time.perf_counter_ns() / 1e9", "datetime.datetime.now().timestamp()",
     "time.clock_gettime(time.CLOCK_MONOTONIC)", "time.mktime(time.localtime())"],
)  # fmt: skip
def test_a_loop_that_polls_a_clock_ends(deploy, runtime: ScfRuntime, read: str) -> None:
    function = deploy(
        f"""
        import datetime, time

        def read():
            return {read}

        def main_handler(event, context):
            end = read() + 1
            while read() < end:
                pass
            return read() - end < 0.01
        """
    )
    event = function.invoke_async()

    assert event.wait().result is True
    assert timedelta(seconds=0.99) <= event.duration <= timedelta(seconds=1.01)


def test_the_thousand_and_first_read_in_a_row_waits_a_millisecond(deploy) -> None:
    result = deploy(
        """
        import time

        def main_handler(event, context):
            stamps = [time.monotonic_ns() for _ in range(1_003)]
            print("a line is progress")
            more = [time.monotonic_ns() for _ in range(1_001)]
            time.sleep(1)
            more += [time.monotonic_ns() for _ in range(1_001)]
            return [(stamp - stamps[0]) // 1_000 for stamp in stamps[998:] + more[998:1001] + more[1999:]]
        """
    ).run()

    assert result == [0, 0, 1_000, 2_000, 3_000, 3_000, 3_000, 4_000, 1_004_000, 1_004_000, 1_005_000]


def test_the_number_of_reads_is_a_setting(deploy, make_runtime) -> None:
    function = deploy(
        """
        import time

        def main_handler(event, context):
            return [time.time_ns() % 1_000_000_000 // 1_000 for _ in range(6)]
        """,
        to=make_runtime(clock_reads_before_wait=3),
    )

    assert function.run() == [0, 0, 0, 1_000, 2_000, 3_000]


def test_the_reads_of_logging_do_not_count(deploy) -> None:
    result = deploy(
        """
        import logging, time

        def main_handler(event, context):
            logger = logging.getLogger("quiet")
            logger.setLevel(logging.INFO)
            logger.addHandler(logging.NullHandler())
            logger.propagate = False
            for _ in range(5_000):
                logger.info("nothing is written")
            return time.time()
        """
    ).run()

    assert result == START.timestamp()


def test_a_thread_that_polls_the_clock_lets_others_have_their_turn(deploy) -> None:
    result = deploy(
        """
        import threading, time

        def main_handler(event, context):
            done = []
            worker = threading.Thread(target=lambda: (time.sleep(0.5), done.append(time.time())))
            worker.start()
            began = time.time()
            while not done:
                time.time()
            return done[0] - began
        """
    ).run()

    assert result == 0.5


def test_what_a_clock_says_of_itself_is_that_of_the_simulated_one(deploy) -> None:
    result = deploy(
        """
        import time

        def main_handler(event, context):
            infos = {name: time.get_clock_info(name) for name in ("time", "monotonic", "perf_counter", "process_time")}
            return {name: [info.resolution, info.monotonic, info.adjustable] for name, info in infos.items()}
        """
    ).run()

    assert result == {
        "time": [1e-6, False, True],
        "monotonic": [1e-6, True, False],
        "perf_counter": [1e-6, True, False],
        "process_time": [1e-9, True, False],
    }
