"""The kernel and the wings of the package: which files and which tests are whose.

The one table that the tools read: count_code.py, which counts the kernel, and stamps.py, which says what a leg of CI
need not run again. A wing is a capability without which the rest of the package would still be whole; what belongs to
no wing is the kernel. A name is that of a file, of a folder (with a slash behind it), or a pattern of
fnmatch; one that names nothing is an error of count_code.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent
PACKAGE = "pytest_scf_async"
KERNEL = "kernel"


@dataclass(frozen=True)
class Wing:
    """A capability, with what is of it alone."""

    files: tuple[str, ...]
    """In the package's directory."""
    tests: tuple[str, ...]
    """Below the tree: test files, and what they import or run; of a file that has others, too, single ones."""
    words: str
    """A pattern: what stands in a name or a text of a test that uses the wing; better too much than too little."""
    uses: tuple[str, ...] = ()
    """Other wings without which it does not do what it does, and which it does not import."""
    shared: tuple[str, ...] = ()
    """Files that wings which use it import, too: they stay while one of these is there."""


_WRITTEN_FROM_OPTIONS = (
    "tests/kernel/model/test_options.py::test_what_is_written_from_the_table_is_what_there_is",
    "tests/kernel/model/test_options.py::test_a_file_that_is_behind_is_found_and_written",
)
"""They need all files that `make options` writes."""
_TESTS_OF_PROGRAMS = (
    "tests/kernel/events/test_advice_followed.py::test_of_a_program_that_says_so_in_any_language",
    "tests/kernel/events/test_advice_followed.py::test_a_pool_of_simulated_processes_is_left_without_its_tasks",
    "tests/kernel/events/test_ends_tracebacks.py::test_a_handler_whose_children_are_simulated_prints_no_frame_of_ours",
    "tests/kernel/events/test_logging_of_handlers.py::test_what_libraries_log_at_debug_is_left_out_whichever_handler_writes_it",
    "tests/kernel/events/test_logging_of_handlers.py::test_the_program_of_an_image_has_pythons_own_defaults",
    "tests/kernel/instances/test_preload.py::test_what_images_need_is_in_no_handlers_way",
    "tests/kernel/instances/test_preload.py::test_no_instance_looks_through_what_images_need_for_garbage",
    "tests/kernel/model/test_deployment.py::test_a_zip_of_another_runtime_gives_the_function_its_own_name",
    *_WRITTEN_FROM_OPTIONS,
    "tests/kernel/sandbox/test_where_it_runs.py::test_a_row[each instance has a port 9000]",
    "tests/kernel/sandbox/test_where_it_runs.py::test_the_rows_are_those_of_the_page",
    "tests/kernel/scheduler/test_lockstep_of_instances.py::test_what_began_to_wait_at_one_instant_goes_in_order_of_events_whoever_was_answered_first[simulated",
    "tests/kernel/scheduler/test_lockstep_of_instances.py::test_programs_that_wait_for_answers_at_one_instant_say_that_they_go_on_in_real_time",
    "tests/kernel/signals/test_stop.py::test_an_image_that_exits",
    "tests/kernel/signals/test_stop.py::test_of_an_image_only_its_end_counts",
    "tests/kernel/signals/test_stop.py::test_a_go_program_that",
    "tests/kernel/time/test_identity_of_patches.py::test_each_patch_of_an_images_program_is_what_it_replaces",
    "tests/kernel/waits/test_leases.py::test_the_trace_of_an_image",
    "tests/kernel/waits/test_leases.py::test_an_instance_without_code_in_c_of_the_users_does_not_look_at_its_output_in_each_wait",
    "tests/kernel/waits/test_real_time_reported.py::test_with_simulated_children_a_wait_of_code_in_c_takes_simulated_time",
    "tests/plugin/reports/test_catalogue_signals.py::test_sigterm_in_a_free_running_image",
    "tests/plugin/reports/test_catalogue_signals.py::test_image_",
    "tests/plugin/reports/test_report_artifacts.py::test_a_result_that_is_no_text_is_kept_in_base64",
)
"""Where handlers and programs are the cases of one table, or one story has both."""

WINGS: dict[str, Wing] = {
    "programs": Wing(
        files=("programs/", "linux/executables.py"),
        shared=("protocol/disk_record.py", "instances/cpus.py"),
        tests=("tests/programs/", "tests/program_internals.py", *_TESTS_OF_PROGRAMS),
        words=r"image|[gG]o1|[nN]ode_?js|CustomRuntime|\bcustom|[lL]auncher|simulated\"|children=|^children$|supervis|[pP]rogram"
        r"|podman|docker|gunicorn|free.running|container|ptrace|trace(?:d|r|e)\b",
    ),
    "sweep": Wing(
        files=("sweep/",),
        tests=("tests/sweep/", "tests/sweep_internals.py"),
        words=r"[sS]weep|effects",
        uses=("programs",),  # a supervisor records what a run changes
    ),
    "timers": Wing(
        files=("timers/", "endpoint/timers.py"),
        tests=("tests/timers/",),
        words=r"[tT]imers?\b|_timer|[tT]riggers?\b",
    ),
    "endpoint": Wing(
        files=("endpoint/", "operations.py"),
        tests=(
            "tests/endpoint/",
            "tests/endpoint_internals.py",
            "tests/kernel/events/test_before_init.py::test_a_published_version_and_an_updated_function_keep_it",
            "tests/kernel/events/test_retries_of_sync_functions.py::test_how_many_attempts_follow_can_be_configured",
            "tests/kernel/events/test_retries_of_sync_functions.py::test_an_update_is_for_later_invocations",
            "tests/kernel/events/test_retries_of_sync_functions.py::test_what_cannot_be_configured",
            "tests/kernel/events/test_scripted_functions.py::test_versions_and_updates",
        ),
        words=r"[eE]ndpoint|[oO]perations|[sS]erve\b|\b[aA][pP][iI]\b|tencentcloud"
        r"|(?:create|copy|delete|get|invoke|list|publish|update)_(?:alias|function|namespace|trigger|version)",
    ),
    "conformance": Wing(
        files=("conformance/",),
        tests=("tests/conformance/",),
        words=r"[cC]onformance",
        uses=("endpoint",),
    ),
    "coverage": Wing(
        files=("coverage/", "protocol/covered.py"),
        tests=(
            "tests/plugin/beside/test_coverage.py",
            "tests/programs/plugin/test_coverage_of_images.py",
            "tests/sweep/test_workers.py::test_coverage_counts_what_runs_in_workers",
        ),
        words=r"[cC]overage|\bcov\b|--cov",
    ),
    "debugger": Wing(
        files=("debugger/",),
        tests=(
            "tests/plugin/beside/test_debugging.py",
            "tests/kernel/gates/test_gates_at_lines_beside_tools.py::test_a_breakpoint_without_a_terminal_ends_the_event_as_it_does_without_a_gate",
        ),
        words=r"debugg|breakpoint|\b[pP]db\b|[tT]erminal",
    ),
    "deployable": Wing(
        files=("deployable/",),
        tests=("tests/deployable/",),
        words=r"deployable|^check$",
    ),
    "trace": Wing(
        files=("trace/",),
        tests=("tests/trace/", "tests/trace_internals.py", "tests/trace_format.py"),
        # a test that fails leaves one
        words=r"pytester|runpytest|async.trace|^\"trace\"$|artifacts|trace_(?:format|page|samples)",
    ),
    "triggers": Wing(
        files=("triggers/",),
        shared=("model/timer_message.py",),
        tests=("tests/triggers/", "tests/plugin/typed_project/test_typed_triggers.py"),
        words=r"[tT]rigger|event_of",
    ),
}


@dataclass(frozen=True)
class FeatureFiles:
    """A feature of the scheduler, with what is of it alone."""

    files: tuple[str, ...]
    """In the package's directory."""
    tests: tuple[str, ...]
    """Below the tree; of a file that has others, too, single ones."""


_SLEEPS = (
    "test_each_call_waits_until_it_listens[",
    *(f"test_the_others_raise[{kind}-" for kind in ("handler", "program")),
    *(f"test_its_own_timeout_comes_where_the_call_goes_past_that[{kind}-" for kind in ("handler", "program")),
)

FEATURES: dict[str, FeatureFiles] = {
    "memory": FeatureFiles(
        files=("lockstep/features/memory.py",),
        tests=(
            "tests/kernel/events/test_memory_limit.py",
            "tests/plugin/reports/test_catalogue_results.py::test_memory_limit",
        ),
    ),
    "real_cost": FeatureFiles(
        files=("lockstep/features/real_cost.py",),
        tests=(
            "tests/kernel/scheduler/test_real_cost.py",
            "tests/kernel/scheduler/test_compute_rate.py",
            "tests/kernel/scheduler/test_features_of_the_scheduler.py::test_each_is_asked_while_it_is_needed",
            "tests/kernel/events/test_advice_followed.py::test_computing_for_ever_has_time_pass_or_its_timeout",
            "tests/plugin/test_marker.py::test_a_function_that_computes_for_ever_times_out_by_its_marker",
        ),
    ),
    "real_flow": FeatureFiles(files=("lockstep/features/real_flow.py",), tests=()),
    "scripts": FeatureFiles(
        files=("lockstep/features/scripts.py", "scripted.py", "scripted_calls.py", "instances/runtimes/scripted.py"),
        tests=(
            "tests/kernel/model/test_scripts.py",
            "tests/kernel/events/test_scripted_functions.py",
            *_WRITTEN_FROM_OPTIONS,
        ),
    ),
    "test_process": FeatureFiles(
        files=("lockstep/features/test_process.py",),
        tests=(
            "tests/kernel/time/test_clock_patched.py",
            "tests/kernel/events/test_scripted_functions.py::test_a_poll_loop_of_the_test_itself",
            "tests/kernel/time/test_start_under_freeze.py::test_within_patched_a_runtime_starts_at_the_time_that_the_test_sees",
            "tests/kernel/time/test_clock_running.py::test_with_the_test_on_the_clock_its_sleeps_take_their_time",
            *(
                f"tests/kernel/scheduler/test_computing_is_waited_for.py::{name}a sleep of the test]"
                for name in _SLEEPS
            ),
            "tests/plugin/test_patched_option.py",
            "tests/plugin/test_plugin_cost.py::test_the_tests_process_has_nothing_of_what_runs_in_other_processes",
        ),
    ),
}


def is_of(name: str, entries: tuple[str, ...]) -> bool:
    """Whether the file *name* is one of those that *entries* name."""
    return any(name.startswith(each) if each.endswith("/") else fnmatchcase(name, each) for each in entries)


def wing_of(inner: str) -> str:
    """Whose a file of the package is, by its path in the package's directory."""
    return next((name for name, wing in WINGS.items() if is_of(inner, wing.files + wing.shared)), KERNEL)


def wing_of_test(name: str) -> str:
    """Whose a file below tests/ is, by its path from the tree."""
    return next((each for each, wing in WINGS.items() if is_of(name, wing.tests)), KERNEL)


def unused() -> list[str]:
    """What is wrong with the table: entries that name no file."""
    files = [path.relative_to(TREE / PACKAGE).as_posix() for path in (TREE / PACKAGE).rglob("*.py")]
    tests = [path.relative_to(TREE).as_posix() for path in (TREE / "tests").rglob("*.py")]
    return [
        f"rooms.py has {entry} for {name}, and there is no such file: take it out."
        for name, wing in WINGS.items()
        for entries, names in ((wing.files + wing.shared, files), (wing.tests, tests))
        for entry in entries
        if not any(is_of(each, (entry.partition("::")[0],)) for each in names)
    ]
