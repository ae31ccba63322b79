"""GetFunction, ListFunctions, ListVersionByFunction, ListAliases and GetAlias; what aliases make of an invocation."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from process_support import START

from pytest_scf_async.errors import ScfApiError
from pytest_scf_async.operations import RoutingConfig, VersionMatch, VersionWeight

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

WORKS = "def main_handler(event, context): return context['function_version']\n"
SECOND = timedelta(seconds=1)


def refused(call, *arguments, **options):
    with pytest.raises(ScfApiError) as refusal:
        call(*arguments, **options)
    return refusal.value.code


@pytest.fixture
def three(runtime, deploy):
    """Functions "alpha", "beta" and "gamma", made in the order beta, gamma, alpha, a second apart; beta was updated."""
    made = {}
    for name, options in (
        ("beta", {"async_run": False, "description": "second letter"}),
        ("gamma", {"description": "third letter"}),
        ("alpha", {"runtime": "Python3.9", "trace": False}),
    ):
        made[name] = deploy(WORKS, name=name, **options)
        runtime.clock.advance(1)
    made["beta"].update(timeout=9)
    return made


def test_the_id_of_a_function_is_the_platforms_and_the_same_in_each_run(make_runtime, deploy):
    first, second = ([deploy(WORKS, to=make_runtime()).function_id for _ in range(2)] for _ in range(2))
    runtimes = [make_runtime(), make_runtime()]
    ids = [[deploy(WORKS, to=runtime).function_id for _ in range(2)] for runtime in runtimes]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2
    assert all(re.fullmatch("lam-[0-9a-z]{8}", each) for each in (*ids[0], *first, *second))


def test_request_ids_do_not_depend_on_functions_and_aliases(make_runtime, deploy):
    few, many = make_runtime(), make_runtime()
    deploy(WORKS, to=many)
    functions = [deploy(WORKS, name="export", to=runtime) for runtime in (few, many)]
    for function in functions:
        function.publish_version()
    functions[1].create_alias("live", "1", routing_config=RoutingConfig((VersionWeight("$LATEST", 0.5),)))
    events = [functions[0].invoke_async(), functions[1].invoke_async(qualifier="live")]
    assert events[0].request_id == events[1].request_id


def test_a_function_and_its_times(runtime, three):
    beta = three["beta"]
    assert (beta.added_at, beta.modified_at, beta.description, beta.status) == (
        START, START + 3 * SECOND, "second letter", "Active",
    )  # fmt: skip
    details = runtime.get_function("beta")
    assert (details.function_id, details.function_name, details.namespace) == (beta.function_id, "beta", "default")
    assert (details.add_time, details.mod_time, details.description) == (START, START + 3 * SECOND, "second letter")
    assert (details.status, details.available_status, details.function_type) == ("Active", "Available", "Event")
    assert (details.configuration, details.versions) == (beta.configuration, ["$LATEST"])
    assert details.code_size == len(WORKS)


def test_a_published_version_has_its_own_description_and_times(runtime, three):
    beta = three["beta"]
    beta.publish_version("first")
    runtime.clock.advance(1)
    beta.update(timeout=5, description="changed")

    details = runtime.get_function("beta", qualifier="1")
    assert (details.function_version, details.description) == ("1", "first")
    assert (details.add_time, details.mod_time) == (START + 3 * SECOND, START + 3 * SECOND)
    assert details.configuration.timeout == 9
    assert runtime.get_function("beta", qualifier="$DEFAULT").description == "changed"


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("InvalidParameterValue.FunctionName", {"function_name": "-"}),
        ("ResourceNotFound.Function", {"function_name": "delta"}),
        ("ResourceNotFound.Namespace", {"namespace": "other"}),
        ("ResourceNotFound.Version", {"qualifier": "1"}),
    ],
)
def test_what_get_function_refuses(runtime, three, code, arguments):
    assert refused(runtime.get_function, **{"function_name": "beta", **arguments}) == code


def test_a_function_by_its_name(runtime, three):
    assert runtime.function("beta") is three["beta"]
    assert refused(runtime.function, "delta") == "ResourceNotFound.Function"


def test_an_image_has_no_code(runtime, deploy_image):
    assert runtime.get_function(deploy_image("").name).code_size == 0


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({}, ["alpha", "gamma", "beta"]),
        ({"order": "ASC"}, ["beta", "gamma", "alpha"]),
        ({"orderby": "ModTime"}, ["beta", "alpha", "gamma"]),
        ({"orderby": "FunctionName", "order": "ASC"}, ["alpha", "beta", "gamma"]),
        ({"offset": 1, "limit": 1}, ["gamma"]),
        ({"offset": 3}, []),
        ({"search_key": "a"}, ["alpha", "gamma", "beta"]),
        ({"search_key": "am"}, ["gamma"]),
        ({"description": "letter"}, ["gamma", "beta"]),
        ({"filters": {"AsyncRunEnable": ["TRUE"]}}, ["alpha", "gamma"]),
        ({"filters": {"AsyncRunEnable": ["TRUE"], "TraceEnable": ["TRUE"]}}, ["gamma"]),
        ({"filters": {"Runtime": ["Python3.9", "Go1"]}}, ["alpha"]),
        ({"filters": {"Status": ["Creating"]}}, []),
        ({"filters": {"VpcId": ["vpc-1"]}}, []),
    ],
)
def test_the_list_of_functions(runtime, three, arguments, names):
    page = runtime.list_functions(**arguments)
    assert [row.function_name for row in page.functions] == names
    assert page.total_count == (3 if set(arguments) & {"offset", "limit"} else len(names))


def test_a_row_of_the_list(runtime, three):
    (row,) = runtime.list_functions(search_key="beta").functions
    assert (row.function_id, row.namespace, row.status) == (three["beta"].function_id, "default", "Active")
    assert (row.add_time, row.mod_time, row.description) == (START, START + 3 * SECOND, "second letter")
    assert (row.runtime, row.function_type, row.async_run, row.trace) == ("Python3.10", "Event", False, True)


def test_functions_of_another_namespace_are_not_in_the_list(runtime, three, deploy):
    deploy(WORKS, name="delta", namespace="shop")
    assert [row.function_name for row in runtime.list_functions(namespace="shop").functions] == ["delta"]
    assert runtime.list_functions().total_count == 3


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("ResourceNotFound.Namespace", {"namespace": "other"}),
        ("InvalidParameterValue.Order", {"order": "desc"}),
        ("InvalidParameterValue.Order", {"orderby": "Name"}),
        ("InvalidParameterValue.Limit", {"limit": 0}),
        ("InvalidParameterValue.Offset", {"offset": -1}),
        ("InvalidParameterValue.Filters", {"filters": {"Name": ["x"]}}),
        ("InvalidParameterValue.Filters", {"filters": {"Status": []}}),
        ("InvalidParameterValue.Filters", {"filters": {"Status": "Active"}}),
        ("InvalidParameterValue.Filters", {"filters": {"Status": ["Active"] * 21}}),
    ],
)
def test_what_list_functions_refuses(runtime, three, code, arguments):
    assert refused(runtime.list_functions, **arguments) == code


@pytest.fixture
def published(runtime, three):
    """The function beta with the versions 1 and 2, each a second after the other."""
    beta = three["beta"]
    for number in (1, 2):
        runtime.clock.advance(1)
        beta.publish_version(f"number {number}")
    return beta


@pytest.mark.parametrize(
    ("arguments", "versions"),
    [
        ({}, ["$LATEST", "2", "1"]),
        ({"order": "DESC"}, ["2", "1", "$LATEST"]),
        ({"order": "ASC"}, ["$LATEST", "1", "2"]),
        ({"order": "ASC", "order_by": "ModTime"}, ["$LATEST", "1", "2"]),
        ({"offset": 1, "limit": 1}, ["2"]),
    ],
)
def test_the_list_of_versions(published, arguments, versions):
    page = published.list_versions(**arguments)
    assert ([row.version for row in page.versions], page.total_count) == (versions, 3)


def test_a_row_of_the_versions(published):
    latest, second, _ = published.list_versions().versions
    assert (latest.description, latest.add_time, latest.mod_time) == ("second letter", START, START + 3 * SECOND)
    assert (second.description, second.add_time, second.status) == ("number 2", START + 5 * SECOND, "Active")


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("InvalidParameterValue.Order", {"order": "down"}),
        ("InvalidParameterValue.OrderBy", {"order_by": "Version"}),
        ("InvalidParameterValue.Limit", {"limit": 0}),
        ("InvalidParameterValue.Offset", {"offset": "0"}),
    ],
)
def test_what_list_versions_refuses(published, code, arguments):
    assert refused(published.list_versions, **arguments) == code


def test_a_description_of_a_version_has_a_limit(three):
    assert refused(three["beta"].publish_version, "x" * 1001) == "InvalidParameterValue.Description"
    assert three["beta"].versions == ["$LATEST"]


def test_aliases_and_their_times(runtime, published):
    published.create_alias("live", "1", description="in use")
    runtime.clock.advance(1)
    published.update_alias("live", "2")

    live = published.get_alias("live")
    assert (live.name, live.function_version, live.description) == ("live", "2", "in use")
    assert (live.add_time, live.mod_time) == (START + 5 * SECOND, START + 6 * SECOND)
    assert live.routing_config == RoutingConfig()
    default = published.get_alias("$DEFAULT")
    assert (default.function_version, default.add_time, default.mod_time) == ("$LATEST", START, START)
    assert refused(published.get_alias, "next") == "ResourceNotFound.Alias"


def test_the_list_of_aliases(published):
    for name, version in (("live", "1"), ("next", "2"), ("old", "1")):
        published.create_alias(name, version)

    def names(**arguments):
        page = published.list_aliases(**arguments)
        return page.total_count, [row.name for row in page.aliases]

    assert names() == (4, ["$DEFAULT", "live", "next", "old"])
    assert names(version="1") == (2, ["live", "old"])
    assert names(offset=1, limit=2) == (4, ["live", "next"])
    assert refused(published.list_aliases, limit=0) == "InvalidParameterValue.Limit"
    assert refused(published.list_aliases, offset=-1) == "InvalidParameterValue.Offset"


def test_a_weight_divides_invocations_the_same_way_in_each_run(make_runtime, deploy):
    def versions_run():
        runtime = make_runtime()
        function = deploy(WORKS, name="export", to=runtime)
        function.publish_version()
        function.create_alias("live", "$LATEST", routing_config=RoutingConfig((VersionWeight("1", 0.25),)))
        return [function.invoke_async(qualifier="live").qualifier for _ in range(400)]

    first = versions_run()
    assert first == versions_run()
    assert 70 <= first.count("1") <= 130
    assert set(first) == {"1", "$LATEST"}


def test_a_routing_key_chooses_the_version(runtime, published):
    rule = VersionMatch("1", "invoke.headers.User", "exact", "Bob")
    published.create_alias("live", "2", routing_config=RoutingConfig(addtion_version_matchs=(rule,)))

    def run(**key):
        return runtime.invoke("beta", qualifier="live", routing_key=json.dumps(key)).ret_msg

    assert (run(User="Bob"), run(User="Ann"), run()) == ('"1"', '"2"', '"2"')
    assert runtime.invoke_function("beta", qualifier="live", routing_key='{"User": "Bob"}').ret_msg == '"1"'
    assert runtime.invoke("beta", qualifier="2", routing_key='{"User": "Bob"}').ret_msg == '"2"'


def test_a_queued_event_keeps_what_was_drawn_for_it(runtime, deploy):
    function = deploy("import time\ndef main_handler(event, context): time.sleep(event)\n", max_instances=1,
                      over_quota="queue", name="export")  # fmt: skip
    function.publish_version()
    function.create_alias("live", "$LATEST", routing_config=RoutingConfig((VersionWeight("1", 0.5),)))
    events = [function.invoke_async(1, qualifier="live") for _ in range(8)]
    drawn = [event.qualifier for event in events]
    assert set(drawn) == {"1", "$LATEST"}
    runtime.wait_all()
    assert [event.qualifier for event in events] == drawn
