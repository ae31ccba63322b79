"""The viewer of traces in headless Chromium: what it shows at once, links, search, folding, keys, hostile data."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import trace_samples as samples
from trace_internals import page as page_of

# once: JavaScript in a browser
pytestmark = [pytest.mark.once, pytest.mark.chromium]

SIZE = {"width": 1100, "height": 800}
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>document.title='owned'</script>",
    "<!--<script>",
    "&lt;b&gt;&amp;amp;",
    '"><svg/onload=alert(1)>',
    "javascript:alert(1)",
    "\u202egnirts\u2066 \u200b\ufeff\u2028\u2029",
    "\x1b[31mred\x1b[0m\x1b]8;;http://example.com\x07link\x1b]8;;\x07 \x00\x07\x9b",
    "\ud800 lone \udfff",
    "__proto__",
    "constructor",
    "ＷＩＤＥ \U0001f468\u200d\U0001f469 é",
]


# Frames come late here, so that a test that does not wait for what is drawn fails each time, not once in a thousand.
SAID = """() => {
    const frame = requestAnimationFrame;
    window.requestAnimationFrame = (work) => setTimeout(() => frame(work), 30);
    document.addEventListener("securitypolicyviolation", (each) => console.error(each.violatedDirective));
}"""


@pytest.fixture(scope="module")
def only_page() -> Iterator[Any]:
    """A page of the machine's Chromium, driven by playwright: all tests of the module use it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        [path, *_] = samples.browsers()
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(10_000)
        page.add_init_script(f"({SAID})()")
        yield page
        browser.close()


Open = Callable[..., Any]


def look_for(page: Any, text: str) -> None:
    """Put *text* into the field of the search at once, as pasting it does: each character is a search of its own."""
    page.keyboard.press("/")
    page.get_by_label("search (/)").fill(text)


def await_frame(page: Any) -> None:
    """Wait until what is due is drawn: the lanes and their axis are, with the next frame."""
    page.evaluate("new Promise(requestAnimationFrame)")


def hits(page: Any) -> str:
    text: str = page.get_by_role("status").text_content()
    return text


@pytest.fixture
def show(only_page: Any, tmp_path: Path) -> Iterator[Open]:
    """Open a trace by its file; at the end no error, no message and no violation of the policy has come."""
    said: list[str] = []
    handlers: dict[str, Callable[[Any], object]] = {
        "console": lambda message: said.append(message.text),
        "pageerror": lambda error: said.append(str(error)),
        "dialog": lambda dialog: said.append(dialog.message),
        "request": lambda request: None if request.url.startswith("file:") else said.append(request.url),
    }
    for name, handler in handlers.items():
        only_page.on(name, handler)
    numbers = count()

    def show(data: samples.Trace, scheme: str = "light", width: int = SIZE["width"]) -> Any:
        file = tmp_path / f"trace-{next(numbers)}.html"
        file.write_text(page_of(data), encoding="utf-8")
        only_page.emulate_media(color_scheme=scheme)
        only_page.set_viewport_size({"width": width, "height": SIZE["height"]})
        only_page.goto(file.as_uri())
        return only_page

    yield show
    for name, handler in handlers.items():
        only_page.remove_listener(name, handler)
    assert said == []


def texts(page: Any, selector: str) -> list[str]:
    await_frame(page)
    found: list[str] = page.locator(selector).all_text_contents()
    return found


def chosen(page: Any) -> str:
    """The selected line of the log."""
    text: str = page.locator(".row.chosen").text_content()
    return text


def await_text(page: Any, selector: str, text: str) -> None:
    """Wait until the element has *text*: what follows from another fragment of the address comes after the click."""
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector)?.textContent.includes(text)", arg=[selector, text]
    )


def in_view(page: Any, selector: str) -> bool:
    await_frame(page)
    seen: bool = page.evaluate(
        """selector => {
            const {top, bottom, left, width} = document.querySelector(selector).getBoundingClientRect();
            return width > 0 && left >= 0 && top >= 0 && bottom <= innerHeight;
        }""",
        selector,
    )
    return seen


def test_the_answer_is_there_without_a_click(show: Open) -> None:
    page = show(samples.stop())

    assert "no SIGTERM handler had been installed" in page.locator("h1").text_content()
    assert len(texts(page, ".why")) == 2
    assert "SIGTERM sent" in chosen(page)
    assert "mainsleep(600) at backup.py:8" in page.locator(".detail").text_content().replace("main ", "main")
    assert texts(page, ".line.lit code") == ["        time.sleep(600)"]
    for selector in (
        "h1",
        ".why",
        ".lanes .wait.lit",
        ".axis .signal",
        ".row.chosen",
        ".row.lit",
        ".detail dl",
        ".line.lit",
    ):
        assert in_view(page, selector), selector


def test_a_long_trace_opens_at_the_answer(show: Open) -> None:
    data = samples.many(10_000)
    data["events"][0] |= {"status": "FAILED", "code": 430, "why": ["likely cause: it polled 4970 times"]}
    data["events"][0]["entries"][-4][2] = "it polled 4970 times"
    page = show(data)

    assert "it polled 4970 times" in chosen(page)
    assert in_view(page, ".row.chosen")


def test_a_cause_that_the_headline_has_is_not_said_twice(show: Open) -> None:
    data = samples.stop()
    data["events"][0]["why"][0] = "likely cause: no SIGTERM handler had been installed by then"

    assert len(texts(show(data), ".why")) == 1


def test_log_lanes_and_source_are_linked(show: Open) -> None:
    page = show(samples.deadlock())

    assert "Lock.acquire() at queue.py:18" in chosen(page)  # the wait that the headline names
    page.locator(".row", has_text="sleep(1)").click()
    assert texts(page, ".line.lit code") == ["    await asyncio.sleep(1)"]

    page.locator(".mark.k-record").click()
    assert "queue is empty" in chosen(page)

    # The last lane, Task-4, at a time late enough to be in its last wait.
    box = page.locator(".lanes").bounding_box()
    page.mouse.click(box["x"] + 600, box["y"] + box["height"] - 14)
    assert "Queue.get() at queue.py:6" in chosen(page)
    assert "Task-4" in page.locator(".detail h2").text_content()
    assert texts(page, ".line.lit code") == ["        item = await queue.get()"]


def test_who_holds_a_lock(show: Open) -> None:
    detail = show(samples.deadlock()).locator(".detail").text_content()

    assert "lock at queue.py:11 by Task-1 at queue.py:17" in detail
    assert "its own thread holds the lock" in detail


def test_the_selection_survives_a_reload_and_goes_back(show: Open) -> None:
    page = show(samples.stop())
    page.locator(".row", has_text="part 0 begins").click()
    page.locator(".row", has_text="sleep(600)").click()
    page.reload()
    assert "sleep(600)" in chosen(page)
    page.go_back()
    await_text(page, ".row.chosen", "part 0 begins")
    page.go_forward()
    await_text(page, ".row.chosen", "sleep(600)")
    assert page.url.endswith("#e0w0")


def test_places_are_kept(show: Open) -> None:
    page = show(samples.many(10_000))
    page.locator(".log").evaluate("log => { log.scrollTop = 50000; }")
    page.wait_for_function("() => document.querySelector('.row').offsetTop > 49000")
    page.locator(".row").nth(12).click()
    assert page.locator(".log").evaluate("log => log.scrollTop") == 50_000
    page.get_by_role("tab", name="Waits").click()
    page.get_by_role("tab", name="Source").click()
    assert page.locator(".log").evaluate("log => log.scrollTop") == 50_000
    first = page.locator(".row").nth(5).text_content()
    page.get_by_role("button", name="log", exact=True).click()  # without lines of the log
    assert first in texts(page, ".row")[:8]


def test_search(show: Open) -> None:
    page = show(samples.deadlock())
    page.keyboard.press("/")
    page.keyboard.type("QUEUE.GET")
    assert page.get_by_role("status").text_content() == "7 hits (log 6, source 1)"
    assert texts(page, ".log mark") == ["Queue.get"] * 6
    assert texts(page, ".source mark") == ["queue.get"]
    page.keyboard.press("Enter")
    assert " of 7 hits" in page.get_by_role("status").text_content()
    seen = [chosen(page)]
    page.keyboard.press("Escape")
    assert page.get_by_role("status").text_content() == ""
    assert texts(page, "mark") == []
    page.keyboard.press("Control+f")
    page.keyboard.type("queue is empty")
    page.keyboard.press("Enter")
    seen.append(chosen(page))
    assert "1 of 1" in page.get_by_role("status").text_content()
    assert "queue is empty" in seen[1]


def test_next_and_previous_match_go_round(show: Open) -> None:
    page = show(samples.deadlock())
    page.locator(".row", has_text="RUNNING").click()
    look_for(page, "queue.get")
    page.locator(".log").focus()
    times = []
    for key in ["n"] * 7 + ["n", "N", "N"]:
        page.keyboard.press(key)
        times.append(page.get_by_role("status").text_content().partition(" ")[0])
    assert times == ["1", "2", "3", "4", "5", "6", "7", "1", "7", "6"]


def test_folded_lines_and_filters(show: Open) -> None:
    page = show(samples.stop())
    assert "START and Init Report" in " ".join(texts(page, ".row.fold"))
    assert not page.locator(".row", has_text="Coldstart").count()
    page.locator(".row.fold").click()
    assert page.locator(".row", has_text="Coldstart").count() == 1
    page.keyboard.press("o")
    assert not page.locator(".row", has_text="Coldstart").count()

    page.get_by_label("filter").fill("part")
    assert len(texts(page, ".row")) == 2
    page.get_by_label("filter").fill("nothing has this")
    assert page.get_by_text("No line passes").is_visible()
    page.get_by_label("filter").fill("")
    page.get_by_role("button", name="platform").click()
    assert not page.locator(".k-platform.row").count()


def test_a_match_in_a_folded_line_unfolds_it(show: Open) -> None:
    page = show(samples.stop())
    look_for(page, "Coldstart")
    page.keyboard.press("Enter")
    assert "Coldstart" in chosen(page)


def tip(page: Any, x: float, y: float) -> str:
    await_frame(page)
    box = page.locator(".lanes").bounding_box()
    page.mouse.move(box["x"] + x, box["y"] + y)
    text: str = page.locator(".tip").text_content()
    return text


def test_times_under_the_mouse(show: Open) -> None:
    page = show(samples.stop())
    text = tip(page, 600, 42 + 2 * 24 + 12)
    assert [text for text in texts(page, ".axis .tick") if "real" in text] == ["600 s · real 7 ms"]
    assert texts(page, ".row.chosen .real") == [" · real 6 ms"]
    assert "real 6 ms" in page.locator(".detail").text_content()

    assert "+08:00" in text
    assert "real 4 ms" in text
    assert "sleep(600) at backup.py:8, for 600 s" in text
    assert "2026-01-01 08:0" in text


def simulated(text: str) -> float:
    return float(text[1:].partition(" s")[0].replace(",", ""))


def test_idle_time_is_folded_and_unfolds(show: Open) -> None:
    """The 20 ms behind the 600 s have a place of their own, until idle time is unfolded."""
    page = show(samples.stop())
    width = page.locator(".lanes").bounding_box()["width"]
    folded = simulated(tip(page, width - 160, 60))
    assert 600 < folded <= 600.02
    page.keyboard.press("f")
    assert 570 < simulated(tip(page, width - 170, 60)) < 600
    page.keyboard.press("f")
    assert simulated(tip(page, width - 160, 61)) == pytest.approx(folded)


def test_zoom_pan_and_reset(show: Open) -> None:
    page = show(samples.many(1_000))
    first = simulated(tip(page, 600, 60))
    axis = "".join(texts(page, ".axis"))
    page.mouse.wheel(0, -1_000)
    page.wait_for_function("axis => document.querySelector('.axis').textContent !== axis", arg=axis)
    assert abs(simulated(tip(page, 601, 60)) - first) < 5  # what is under the mouse stays there
    near = simulated(tip(page, 700, 60))
    assert near < first + 40
    page.mouse.down()
    page.mouse.move(900, page.locator(".lanes").bounding_box()["y"] + 60, steps=4)
    page.mouse.up()
    assert abs(simulated(tip(page, 900, 60)) - near) < 5
    page.keyboard.press("0")
    assert simulated(tip(page, 600, 60)) == first


def test_groups_fold(show: Open) -> None:
    page = show(samples.servers())
    size = "document.querySelector('.lanes').scrollHeight"
    whole = page.evaluate(size)
    page.locator(".label", has_text="web: instance 1").click()
    assert page.evaluate(size) < whole
    page.locator(".label", has_text="web: instance 1").click()
    assert page.evaluate(size) == whole
    page.keyboard.press("g")
    assert page.evaluate(size) < whole
    page.wait_for_function("() => document.querySelectorAll('.group .band').length === 2")  # of what is in them


def test_keys(show: Open) -> None:
    page = show(samples.deadlock())
    page.locator(".row", has_text="w0 0").click()
    page.keyboard.press("ArrowDown")
    assert "Queue.get()" in chosen(page)
    assert "Task-2" in chosen(page)
    entries = page.evaluate("history.length")
    page.keyboard.press("ArrowRight")  # the next wait of its lane
    assert "+0.003 s" in chosen(page)
    page.keyboard.press("ArrowLeft")
    assert "+0 s" in chosen(page)
    page.keyboard.press("ArrowUp")
    assert "w0 0" in chosen(page)
    assert page.evaluate("history.length") == entries
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.className") == "source"
    page.keyboard.press("?")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    assert not page.get_by_role("dialog").is_visible()


FOCUSED = "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
LANES = "lanes; Waits has each as a table"


def test_tab_order_and_roles(show: Open) -> None:
    page = show(samples.stop())
    page.evaluate("document.activeElement.blur()")
    seen = []
    for _ in range(24):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUSED))
    wanted = ["search (/)", "keys", LANES, "filter", "log", "Source", "source of handlers/backup.py"]
    assert [seen.index(each) for each in wanted] == sorted(seen.index(each) for each in wanted)
    assert page.get_by_role("listbox", name="log").get_attribute("aria-activedescendant") is not None
    assert page.get_by_role("option", selected=True).count() == 1


def test_the_lanes_have_a_table(show: Open) -> None:
    page = show(samples.many(10_000))
    page.get_by_role("tab", name="Waits").click()
    assert "main: 5,000 waits (101 here, around the selection)" in page.locator(".pane").text_content()
    page.locator(".pane td button").first.click()
    assert "+4,899 s" in chosen(page)


def test_tabs(show: Open) -> None:
    page = show(samples.stop())
    page.get_by_role("tab", name="Files").click()
    text = page.locator(".pane").text_content()
    assert "/tmp/part-052,428,800" in text
    assert "Lost with the instance: /tmp/part-0" in text
    page.get_by_role("tab", name="Records").click()
    assert "There are none" in page.locator(".pane").text_content()
    page.get_by_role("tab", name="Failure").click()
    assert "AssertionError" in page.locator(".pane").text_content()


def test_a_place_without_source_says_why(show: Open) -> None:
    data = samples.stop()
    data["places"][0] = ["backup.py", 8, None, "the file is in a zip archive"]
    assert "backup.py:8" in show(data).locator(".pane").text_content()


def test_sweep(show: Open) -> None:
    page = show(samples.sweep())
    text = page.locator(".sweep").text_content()
    for wanted in (
        "Compared: result; 1 file. Not tried: power loss.",
        "Path.write_text empties the file before filling it",
        "5 times alike",
        "write ckpt.json.new, then os.replace() it",
        "pytest --scf-async-replay='forced@effect#2'",
        "sh kept/test_train/repro.sh",
        "Killed before open or after write, it survives.",
    ):
        assert wanted in text
    assert texts(page, "ol li")[1] == "✂ killed here"
    assert texts(page, ".line.failed .note") == ["✗ 3 of 9", "✗ 1 of 9"]
    assert texts(page, ".line.lit .number") == ["11"]
    assert texts(page, ".differs") == ["write 11 bytes", "write 12 bytes", "", "unlink"]

    assert page.get_by_role("link").get_attribute("href") == "./kept/test_train/"


def test_a_sweep_with_two_causes(show: Open) -> None:
    """Each cause has its own chain of effects and restarts; the source has the outcomes of both."""
    page = show(samples.sweep())
    tabs = page.get_by_role("tab")
    assert [text.partition(":")[0] for text in tabs.all_text_contents()] == ["NEVER FINISHES", "LOST"]
    heat = ["✓ 4", "✓ 6", "✓ 6", "✗ 3 of 9", "✗ 1 of 9"]
    assert [note for note in texts(page, ".note") if note] == heat
    assert texts(page, ".columns li")[:3] == [
        "effect#1 open ckpt.json 0 bytestrain.py:11",
        "✂ killed here",
        "effect#2 write ckpt.json 11 bytestrain.py:11",
    ]

    page.get_by_role("tab", name="LOST").click()
    await_text(page, ".sweep", "graceful@train.py:12#1")
    assert page.url.endswith("#s0c1")
    assert [note for note in texts(page, ".note") if note] == heat
    assert texts(page, ".line.lit .number") == ["12"]
    assert texts(page, ".columns li") == [
        "✂ graceful train.py:12",
        "FINISHED after 2 s warm start",
        "✗ lost: file ckpt.json",
    ]
    assert "a script, by sweep.failures[1].write_repro(path)" in page.locator(".sweep").text_content()
    assert page.get_by_role("link").count() == 0
    page.go_back()
    await_text(page, ".sweep", "forced@effect#2")
    assert texts(page, ".line.lit .number") == ["11"]


SELECTED = "() => document.activeElement.getAttribute('aria-selected') === 'true' && document.activeElement.textContent"


def test_arrow_keys_move_between_causes_and_between_tabs(show: Open) -> None:
    page = show(samples.sweep())
    page.get_by_role("tab", name="NEVER").focus()
    for key, cause, number in (("ArrowRight", "LOST", 1), ("ArrowRight", "NEVER", 0), ("End", "LOST", 1)):
        page.keyboard.press(key)
        page.wait_for_function(
            "cause => document.querySelector(':focus[aria-selected=true]')?.textContent.startsWith(cause)",
            arg=cause,
        )
        assert page.url.endswith(f"#s0c{number}")
        assert page.locator(".sweep [role=tab][tabindex='0']").count() == 1

    page = show(samples.stop())
    assert page.get_by_role("tabpanel").get_attribute("id") == page.get_by_role("tab").first.get_attribute(
        "aria-controls"
    )
    page.get_by_role("tab", name="Source").focus()
    row = chosen(page)
    for key, name in (("ArrowRight", "Waits"), ("ArrowLeft", "Source"), ("ArrowLeft", "Failure"), ("Home", "Source")):
        page.keyboard.press(key)
        assert page.evaluate(SELECTED) == name
    assert chosen(page) == row  # the log has not moved


def test_search_in_a_sweep(show: Open) -> None:
    page = show(samples.sweep())
    for text, where in (("exists", "code"), ("WRITE CKPT", "li"), ("jsondecode", "li small"), ("replace()", "dd")):
        look_for(page, text)
        assert texts(page, f"{where} mark")[0].lower() == text.lower()
        assert hits(page).endswith(" hit" if text != "WRITE CKPT" else "s")
    look_for(page, "ckpt.json")
    found = int(hits(page).partition(" ")[0])
    assert found > 5
    assert page.locator(".report mark").count() == 0
    page.get_by_role("tab", name="NEVER").focus()
    seen = []
    for key in ["n"] * (found + 1) + ["N"]:
        page.keyboard.press(key)
        seen.append(int(hits(page).partition(" ")[0]))
        assert page.locator("mark.now").count() == 1
        assert in_view(page, "mark.now")
    assert seen == [*range(1, found + 1), 1, found]

    page.get_by_role("tab", name="LOST").click()
    await_text(page, ".sweep", "graceful@train.py:12#1")
    assert 0 < int(hits(page).partition(" ")[0]) < found  # the other cause has hits of its own
    page.get_by_label("search (/)").focus()
    page.keyboard.press("Escape")
    assert (texts(page, "mark"), hits(page)) == ([], "")


def test_two_runs_side_by_side(show: Open) -> None:
    page = show(samples.sweep())
    pair = page.locator("details[open]")
    assert "The first difference: “write 11 bytes” in the first run is “write 12 bytes” in" in pair.text_content()
    rows = [row.locator("td").all_text_contents() for row in pair.locator("tr").all()[1:]]
    assert rows == [
        ["open ckpt.json", "open ckpt.json"],
        ["write 11 bytes", "write 12 bytes"],
        ["close", "close"],
        ["", "unlink"],
    ]


def test_copy_selects_where_the_clipboard_is_out_of_reach(show: Open) -> None:
    page = show(samples.sweep())
    page.evaluate("document.execCommand = () => false")
    page.get_by_role("button", name="copy").first.click()
    assert page.evaluate("String(getSelection())") == "pytest --scf-async-replay='forced@effect#2'"
    assert page.get_by_role("button", name="Ctrl-C").count() == 1


def test_a_trace_with_a_sweep_and_events(show: Open) -> None:
    page = show(samples.sweep() | {key: samples.stop()[key] for key in ("events", "texts", "lanes", "instances")})
    assert page.locator(".sweep").is_visible()
    page.get_by_role("button", name="events").click()
    await_text(page, ".row.chosen", "SIGTERM sent")
    assert page.locator(".lanes").is_visible()
    assert not page.locator(".sweep").is_visible()
    page.get_by_role("button", name="sweep of train").click()
    page.locator(".sweep").wait_for()
    look_for(page, "ckpt")
    assert "source" not in hits(page)
    page.get_by_role("button", name="events").click()
    await_text(page, "[role=status]", "(log 0, source 4)")


RATIO = """() => {
    const number = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = (text) => {
        const linear = (c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        const [r, g, b] = number(text).map((each) => linear(each / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (node) => {
        for (; node; node = node.parentElement) {
            const colour = getComputedStyle(node).backgroundColor;
            if (number(colour)[3] !== 0) return colour;
        }
    };
    const poor = [];
    for (const node of document.querySelectorAll("body *")) {
        const hasText = [...node.childNodes].some((each) => each.nodeType === 3 && each.data.trim());
        if (!hasText || !node.getClientRects().length) continue;
        const both = [light(getComputedStyle(node).color), light(behind(node))].sort();
        const ratio = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
        if (ratio < 4.5) poor.push(`${node.className} ${node.textContent.slice(0, 30)} ${ratio.toFixed(1)}`);
    }
    return poor;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dark_light_and_contrast(show: Open, scheme: str) -> None:
    for data in (samples.stop(), samples.sweep()):
        page = show(data, scheme)
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 28)"
        assert dark == (scheme == "dark")
        assert page.evaluate(RATIO) == []
        page.keyboard.press("t")
        assert page.evaluate(RATIO) == []
        assert (page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 28)") != dark


@pytest.mark.parametrize("width", [600, 1100])
def test_widths(show: Open, width: int) -> None:
    for data in (samples.servers(), samples.sweep()):
        page = show(data, width=width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def hostile(data: Any, number: list[int]) -> Any:
    """*data* with a hostile text in the place of each, but for the words that the viewer looks at."""
    if isinstance(data, dict):
        return {key: value if key in KEPT else hostile(value, number) for key, value in data.items()}
    if isinstance(data, list):
        return [hostile(value, number) for value in data]
    if isinstance(data, str):
        number[0] += 1
        return HOSTILE[number[0] % len(HOSTILE)] * (1 + number[0] % 3)
    return data


KEPT = ("version", "outcome", "zone")
ALLOWED = """
    A B BODY BUTTON CODE DD DETAILS DIALOG DIV DL DT EM H1 H2 HEAD HEADER HTML I INPUT LI MAIN MARK META NOSCRIPT OL P
    PRE SCRIPT SECTION SMALL SPAN STYLE SUMMARY TABLE TD TH TITLE TR
"""


@pytest.mark.parametrize("start", range(4))
@pytest.mark.parametrize("make", [samples.deadlock, samples.sweep, samples.server])
def test_hostile_texts_stay_text(show: Open, make: Callable[[], samples.Trace], start: int) -> None:
    page = show(hostile(make(), [start * 3]))
    look_for(page, "script")
    page.keyboard.press("Enter")
    page.evaluate("[...document.querySelectorAll('[role=tab], summary')].forEach((each) => each.click())")
    page.mouse.move(500, 250)

    assert page.title().startswith(("failed: ", "passed: "))
    assert page.locator("script").count() == 2
    tags = set(page.evaluate("[...new Set([...document.querySelectorAll('*')].map((each) => each.tagName))]"))
    assert tags <= set(ALLOWED.split())
    attributes = page.evaluate("[...document.querySelectorAll('*')].flatMap((each) => each.getAttributeNames())")
    assert not {name for name in attributes if name.startswith("on") or name in ("src", "srcdoc", "action")}
    links = page.evaluate("[...document.querySelectorAll('[href]')].map((it) => [it.getAttribute('href'), it.href])")
    assert all(given.startswith("./") and where.startswith("file:///") for given, where in links)
    shown = page.evaluate("document.body.innerText")
    assert not set("\x1b\x00\u202e\u2066\u200b\ufeff\u2028") & set(shown)


def test_a_line_of_a_megabyte(show: Open) -> None:
    data = samples.stop()
    data["events"][0]["entries"][4][2] = "<b>" + "x" * 1_000_000 + "\nend"
    data["headline"] = "y" * 1_000_000
    page = show(data)
    page.locator(".row", has_text="<b>").click()
    assert len(page.locator(".detail pre").text_content()) < 10_000
    page.get_by_role("button", name="all 1,000,007 characters").click()
    assert page.locator(".detail pre").text_content().endswith("x\nend")


def test_escape_codes_and_hidden_characters(show: Open) -> None:
    data = samples.stop()
    data["events"][0]["entries"][4][2] = "\x1b[1;31mred\x1b[0m \u202eright\x07"
    assert "red ‹202e›right‹7›" in " ".join(texts(show(data), ".row"))


def test_what_was_cut_is_said(show: Open) -> None:
    page = show(samples.stop() | {"cut": ["92,000 of 100,000 waits of event 22474b0c are left out"]})
    assert texts(page, ".cut") == ["⚠ 92,000 of 100,000 waits of event 22474b0c are left out"]


def test_another_version_is_refused(show: Open) -> None:
    page = show(samples.stop() | {"version": 2})
    assert "reads traces of version 1, not 2" in page.locator("body").text_content()
    assert page.locator("header").count() == 0


def test_an_event_without_anything(show: Open) -> None:
    page = show(
        samples.trace(lanes=[], instances=[], events=[samples.event(instance=None, status="RUNNING", end=None)])
    )
    assert page.locator("h1").is_visible()
    assert show(samples.trace()).locator("h1").is_visible()


@pytest.mark.parametrize(("waits", "seconds"), [(10_000, 1), (100_000, 5)])
def test_sizes(show: Open, only_page: Any, waits: int, seconds: float) -> None:
    """The processor time of the page's own process, which other processes of the machine do not change."""
    session = only_page.context.new_cdp_session(only_page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page = show(samples.many(waits))
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    figures = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}

    assert figures["TaskDuration"] < seconds, json.dumps(figures)
    page.locator(".log").evaluate("log => { log.scrollTop = 0; }")
    page.wait_for_function("() => document.querySelector('.row').offsetTop === 0")
    assert page.locator(".row").count() < 100
    page.keyboard.press("ArrowUp")
    assert "+" in chosen(page)


def test_a_page_has_40_kb_of_ours() -> None:
    written = page_of(samples.stop())
    (style,) = re.findall(r"<style>(.*?)</style>", written, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", written, re.DOTALL)

    assert len(f"{style}{script}".encode()) <= 40_960
