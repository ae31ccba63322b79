"""What other tools of the vendor send to the API, and what they read in its answers."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from tc3 import signed
from test_endpoint_fields import Caller
from test_endpoint_functions import zip_of

from pytest_scf_async import ScfAsyncWarning, ScfEndpoint, ScfRuntime, ScfSettings, ScfUsageError
from pytest_scf_async.endpoint.http_request import HttpRequest
from pytest_scf_async.errors import ScfApiError

# once: rules of the platform, and of the endpoint: the same on all Pythons
pytestmark = pytest.mark.once

HANDLER = """
import os

def main_handler(event, context):
    return {"version": 1, "bucket": os.environ.get("BUCKET")}
"""
INDEX = zip_of({"index.py": HANDLER})
FUNCTION = {"FunctionName": "export"}
NEW = {**FUNCTION, "Code": {"ZipFile": INDEX}, "Runtime": "Python3.10"}
NOTHING_GIVEN = {
    "AccessInfo": {"Host": "", "Vip": ""},
    "CfsConfig": {"CfsInsList": []},
    "DeadLetterConfig": {"Type": "", "Name": "", "FilterType": ""},
    "DnsCache": "FALSE",
    "EipConfig": {"EipFixed": "FALSE", "Eips": []},
    "ImageConfig": {
        "RegistryId": "",
        "ImageType": "",
        "ImageUri": "",
        "ContainerImageAccelerate": False,
        "Command": "",
        "Args": "",
        "ImagePort": None,
        "EntryPoint": None,
    },
    "InstallDependency": "FALSE",
    "InstanceConcurrencyConfig": None,
    "IntranetConfig": {"IpFixed": "DISABLE"},
    "L5Enable": "FALSE",
    "OnsEnable": "FALSE",
    "ProtocolParams": None,
    "ProtocolType": "",
    "PublicNetConfig": {"PublicNetStatus": "ENABLE", "EipConfig": {"EipStatus": "DISABLE", "EipAddress": []}},
    "UseGpu": "FALSE",
}
"""The values of the example of document 18584; ImageConfig is that of code."""


@pytest.fixture
def scf_settings(scf_settings: ScfSettings, tmp_path: Path) -> ScfSettings:
    return scf_settings.replace("test", unfinished="ignore", never_run="ignore", cos_directory=tmp_path / "cos")


@pytest.fixture
def call(scf_runtime: ScfRuntime) -> Caller:
    return Caller(scf_runtime)


@pytest.fixture
def export(call: Caller) -> Caller:
    """With a function that was created."""
    assert call("CreateFunction", **NEW) == {}
    return call


def got(call: Caller, *names: str, **sent: Any) -> Any:
    """What GetFunction says of these fields."""
    answered = call("GetFunction", **FUNCTION, **sent)
    return {name: answered[name] for name in names} if len(names) > 1 else answered[names[0]]


def message_of(call: Caller, action: str, **sent: Any) -> str:
    """What a refusal says, in English."""
    own = call.endpoint.own_credential
    http = HttpRequest("POST", "/", "", {"x-tc-action": action, "x-tc-language": "en-US"}, json.dumps(sent).encode())
    answer = call.endpoint.answer(signed(http, own.secret_id, own.secret_key))
    assert answer is not None
    return str(json.loads(answer.body)["Response"]["Error"]["Message"])


# -- parameters that no page has ---------------------------------------------------------------------------------------


def test_a_parameter_that_no_page_has_is_taken_with_one_warning(export: Caller) -> None:
    def send() -> None:
        for _ in range(3):
            assert got(export, "FunctionName", ShowTriggers="TRUE") == "export"
        export("UpdateFunctionConfiguration", **FUNCTION, Timeuot=60, DiskSize=512, ShowTriggers="TRUE")
        tags = [{"Key": "owner", "Value": "me", "Colour": "red"}] * 2
        export("CreateFunction", **{**NEW, "FunctionName": "other"}, Tags=tags)

    with pytest.warns(ScfAsyncWarning) as warned:
        send()

    assert [str(each.message) for each in warned] == [
        "ShowTriggers, which was sent to GetFunction, is none of its parameters and changes nothing",
        (
            "Timeuot, which was sent to UpdateFunctionConfiguration, is none of its parameters and changes nothing; "
            "did you mean 'Timeout'?"
        ),
        "DiskSize, which was sent to UpdateFunctionConfiguration, is none of its parameters and changes nothing",
        "Tags.Colour, which was sent to CreateFunction, is none of its parameters and changes nothing",
    ]
    assert got(export, "Timeout") == 3


def test_a_session_that_makes_errors_of_warnings_has_that_one(scf_runtime: ScfRuntime) -> None:
    call = Caller(scf_runtime)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ScfAsyncWarning)
        assert call("ListFunctions", ShowTriggers="TRUE")["TotalCount"] == 0

    assert [type(each) for each in call.endpoint.problems] == [ScfAsyncWarning]


# -- GetFunction -------------------------------------------------------------------------------------------------------


def test_a_function_that_was_given_nothing_has_what_the_example_has(export: Caller) -> None:
    assert got(export, *NOTHING_GIVEN) == NOTHING_GIVEN


FILE_SYSTEM = {
    "UserId": "10000",
    "UserGroupId": "10000",
    "CfsId": "cfs-1",
    "MountInsId": "cfs-1",
    "LocalMountDir": "/mnt/",
    "RemoteMountDir": "/",
}
GIVEN_BACK: dict[str, Any] = {
    "Role": "SCF_QcsRole",
    "VpcConfig": {"VpcId": "vpc-1", "SubnetId": "subnet-1"},
    "ClsLogsetId": "logset",
    "ClsTopicId": "topic",
    "InstallDependency": "TRUE",
    "L5Enable": "TRUE",
    "DnsCache": "TRUE",
    "DeadLetterConfig": {"Type": "topic", "Name": "dead", "FilterType": "x"},
    "ProtocolParams": {"WSParams": {"IdleTimeOut": 15}},
    "InstanceConcurrencyConfig": {"DynamicEnabled": "FALSE", "MaxConcurrency": 2},
    "IntranetConfig": {"IpFixed": "ENABLE"},
    "CfsConfig": {"CfsInsList": [FILE_SYSTEM]},
}
CHANGED: dict[str, tuple[Any, Any]] = {
    "PublicNetConfig": (
        {"PublicNetStatus": "DISABLE", "EipConfig": {"EipStatus": "ENABLE"}},
        {"PublicNetStatus": "DISABLE", "EipConfig": {"EipStatus": "ENABLE", "EipAddress": []}},
    ),
    "DeadLetterConfig": ({"Type": "topic", "Name": "dead"}, {"Type": "topic", "Name": "dead", "FilterType": ""}),
    "VpcConfig": ({"VpcId": "vpc-1"}, {"VpcId": "vpc-1", "SubnetId": ""}),
}
SENT_AND_SHOWN = [(name, value, value) for name, value in GIVEN_BACK.items()]
SENT_AND_SHOWN += [(name, *values) for name, values in CHANGED.items()]
OF_CREATE: list[tuple[str, Any, Any]] = [
    ("Tags", [{"Key": "owner", "Value": "me"}], [{"Key": "owner", "Value": "me"}]),
    ("ProtocolType", "WS", "WS"),
]


@pytest.mark.parametrize(("name", "sent", "shown"), [*SENT_AND_SHOWN, *OF_CREATE])
def test_it_gives_back_what_create_took(call: Caller, name: str, sent: Any, shown: Any) -> None:
    assert call("CreateFunction", **NEW, **{name: sent}) == {}

    assert got(call, name) == shown


@pytest.mark.parametrize(("name", "sent", "shown"), SENT_AND_SHOWN)
def test_it_gives_back_what_update_took(export: Caller, name: str, sent: Any, shown: Any) -> None:
    before = got(export, name)
    export("PublishVersion", **FUNCTION)

    assert export("UpdateFunctionConfiguration", **FUNCTION, **{name: sent}, Publish="TRUE") == {}
    export("UpdateFunctionConfiguration", **FUNCTION, Timeout=60)

    assert [got(export, name, Qualifier=each) for each in ("$LATEST", "2", "1")] == [shown, shown, before]


def test_a_fixed_address_is_in_both_places(export: Caller) -> None:
    export("UpdateFunctionConfiguration", **FUNCTION, PublicNetConfig=CHANGED["PublicNetConfig"][0])

    assert got(export, "EipConfig") == {"EipFixed": "TRUE", "Eips": []}


def test_what_update_of_the_code_took_is_there_too(export: Caller) -> None:
    export("UpdateFunctionCode", **FUNCTION, ZipFile=INDEX, InstallDependency="TRUE", Publish="TRUE")

    assert got(export, "InstallDependency", Qualifier="1") == "TRUE"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"InstallDependency": "yes"}, "InvalidParameterValue"),
        ({"DnsCache": ""}, "InvalidParameterValue"),
        ({"L5Enable": "true"}, "InvalidParameterValue"),
        ({"PublicNetConfig": {"PublicNetStatus": "TRUE"}}, "InvalidParameterValue.PublicNetConfig"),
        ({"PublicNetConfig": {"EipConfig": {"EipStatus": "x"}}}, "InvalidParameterValue.PublicNetConfig"),
        ({"IntranetConfig": {"IpFixed": "TRUE"}}, "InvalidParameterValue"),
        ({"Role": 7}, "InvalidParameter"),
    ],
)
def test_bad_values_change_nothing(export: Caller, sent: dict[str, Any], code: str) -> None:
    before = export("GetFunction", **FUNCTION)

    assert export("UpdateFunctionConfiguration", **FUNCTION, Timeout=60, **sent) == {"Error": code}
    assert export("CreateFunction", **{**NEW, "FunctionName": "other"}, **sent) == {"Error": code}

    assert export("GetFunction", **FUNCTION) == before
    assert list(export.runtime.functions) == ["export"]


def test_the_same_in_python(scf_runtime: ScfRuntime) -> None:
    scf_runtime.create_function(
        "export", INDEX, runtime="Python3.10", also={"Role": "exports", "Tags": [{"Key": "owner", "Value": "me"}]}
    )
    scf_runtime.update_function_configuration("export", also={"DnsCache": "TRUE"})

    also = scf_runtime.get_function("export").also
    assert (also["Role"], also["DnsCache"], also["UseGpu"]) == ("exports", "TRUE", "FALSE")
    assert scf_runtime.list_functions(filters={"tag-owner": ["me"]}).functions[0].tags == {"owner": "me"}
    with pytest.raises(ScfApiError, match="There is no parameter Roles; did you mean 'Role'"):
        scf_runtime.update_function_configuration("export", also={"Roles": ""})
    with pytest.raises(ScfApiError, match="There is no parameter Tags"):
        scf_runtime.update_function_configuration("export", also={"Tags": []})


# -- empty entries -----------------------------------------------------------------------------------------------------


def test_an_empty_variable_clears_the_environment(call: Caller) -> None:
    empty = {"Environment": {"Variables": [{"Key": "", "Value": ""}]}}
    call("CreateFunction", **NEW, Environment={"Variables": [{"Key": "BUCKET", "Value": "exports"}]})

    assert call("UpdateFunctionConfiguration", **FUNCTION, **empty) == {}

    assert got(call, "Environment") == {"Variables": []}
    assert json.loads(call("Invoke", **FUNCTION)["Result"]["RetMsg"])["bucket"] is None
    assert call("CreateFunction", **{**NEW, "FunctionName": "other"}, **empty) == {}
    variable = {"Environment": {"Variables": [{"Key": "", "Value": "x"}]}}
    assert call("UpdateFunctionConfiguration", **FUNCTION, **variable) == {"Error": "InvalidParameterValue.Environment"}


def test_an_empty_layer_clears_the_layers(scf_runtime: ScfRuntime, call: Caller, tmp_path: Path) -> None:
    empty = [{"LayerName": "", "LayerVersion": 0}]
    (tmp_path / "layer").mkdir()
    (tmp_path / "index.py").write_text(HANDLER)
    function = scf_runtime.deploy(tmp_path, handler="index.main_handler", name="export", layers=[tmp_path / "layer"])

    assert call("UpdateFunctionConfiguration", **FUNCTION, Layers=empty) == {}

    assert function.configuration.layers == ()
    assert got(call, "Layers") == []
    assert call("UpdateFunctionConfiguration", **FUNCTION, Layers=empty) == {}
    assert call("CreateFunction", **{**NEW, "FunctionName": "other"}, Layers=empty) == {}


# -- lists -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"tag-owner": ["me"]}, ["summary", "export"]),
        ({"tag-owner": ["me"], "tag-status": ["dev"]}, ["export"]),
        ({"tag-status": ["dev", "live"]}, ["summary", "export"]),
        ({"tag-owner": ["you"]}, []),
        ({"tag-none": [""]}, []),
        ({"Role": ["exports"]}, ["export"]),
        ({"Role": [""]}, ["untagged", "summary"]),
        ({"VpcId": ["vpc-1"]}, ["export"]),
        ({"CfsId": ["cfs-1"]}, ["export"]),
        ({"PublicNetStatus": ["DISABLE"]}, ["export"]),
        ({"FunctionType": ["Event"]}, ["untagged", "summary", "export"]),
    ],
)
def test_filters_by_what_a_function_was_given(call: Caller, filters: dict[str, list[str]], names: list[str]) -> None:
    given: dict[str, dict[str, Any]] = {
        "export": {
            "Tags": [{"Key": "status", "Value": "dev"}, {"Key": "owner", "Value": "me"}],
            "Role": "exports",
            "VpcConfig": {"VpcId": "vpc-1"},
            "CfsConfig": {"CfsInsList": [FILE_SYSTEM]},
            "PublicNetConfig": {"PublicNetStatus": "DISABLE"},
        },
        "summary": {"Tags": [{"Key": "owner", "Value": "me"}, {"Key": "status", "Value": "live"}]},
        "untagged": {},
    }
    for name, sent in given.items():
        assert call("CreateFunction", **{**NEW, "FunctionName": name}, **sent) == {}
        call.runtime.clock.advance(1)

    rows = call("ListFunctions", Filters=[{"Name": name, "Values": values} for name, values in filters.items()])

    assert [row["FunctionName"] for row in rows["Functions"]] == names
    assert all(row["Tags"] == given[row["FunctionName"]].get("Tags", []) for row in rows["Functions"])
    assert {(row["ReservedConcurrencyMem"], row["TotalProvisionedConcurrencyMem"]) for row in rows["Functions"]} <= {
        (None, 0)
    }


def test_a_filter_that_there_is_not_names_those_that_there_are(call: Caller) -> None:
    message = message_of(call, "ListFunctions", Filters=[{"Name": "Tag", "Values": ["x"]}])

    assert "'Tag'" in message
    assert "PublicNetStatus" in message
    assert "tag-KEY" in message


def test_the_newest_namespace_is_the_first(call: Caller) -> None:
    for name in ("reports", "archive"):
        call.runtime.clock.advance(1)
        call("CreateNamespace", Namespace=name)

    listed = call("ListNamespaces")["Namespaces"]

    assert [row["Name"] for row in listed] == ["archive", "reports", "default"]


def test_logs_without_the_name_of_a_function(export: Caller) -> None:
    export("CreateFunction", **{**NEW, "FunctionName": "summary"})
    export("CreateNamespace", Namespace="reports")
    export("CreateFunction", **{**NEW, "Namespace": "reports"})
    ids = []
    for function in ("export", "summary"):
        ids.append(export("Invoke", FunctionName=function)["Result"]["FunctionRequestId"])
        export.runtime.clock.advance(1)
    export("PublishVersion", FunctionName="summary")
    ids.append(export("Invoke", FunctionName="summary", Qualifier="1")["Result"]["FunctionRequestId"])
    other = export("Invoke", **FUNCTION, Namespace="reports")["Result"]["FunctionRequestId"]
    export.runtime.clock.advance(1)

    def found(**sent: Any) -> list[str]:
        return [row["RequestId"] for row in export("GetFunctionLogs", **sent)["Data"]]

    assert found(Order="asc") == ids
    assert found(FunctionRequestId=ids[1]) == [ids[1]]
    assert found(Qualifier="1") == [ids[2]]
    assert found(Namespace="reports") == [other]
    assert set(found(OrderBy="function_name", Order="asc", Limit=1)) == {ids[0]}
    assert export("GetFunctionLogs", Namespace="none") == {"Error": "ResourceNotFound.Namespace"}


@pytest.mark.parametrize("setting", [True, False])
def test_the_result_of_an_asynchronous_invoke_is_a_setting(scf_settings: ScfSettings, setting: bool) -> None:
    with ScfRuntime(scf_settings.replace("test", async_invoke_result=setting)) as runtime:
        call = Caller(runtime)
        call("CreateFunction", **NEW, AsyncRunEnable="TRUE")
        call("CreateFunction", **{**NEW, "FunctionName": "sync"})

        answers = [
            call("Invoke", **FUNCTION),
            call("Invoke", FunctionName="sync", InvocationType="Event"),
            call("InvokeFunction", **FUNCTION),
            call("Invoke", FunctionName="sync"),
        ]

    assert ["Result" in answer for answer in answers] == [setting, setting, True, True]


# -- code of a bucket --------------------------------------------------------------------------------------------------


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    """The bucket ``exports``, with the objects ``/v1/code.zip`` and ``notes.txt``."""
    directory = tmp_path / "cos" / "exports"
    (directory / "v1").mkdir(parents=True)
    with zipfile.ZipFile(directory / "v1" / "code.zip", "w") as archive:
        archive.writestr("index.py", HANDLER)
    (directory / "notes.txt").write_text("no zip")
    return directory


def of_bucket(name: Any, bucket: Any = "exports") -> dict[str, Any]:
    return {"CosBucketName": bucket, "CosObjectName": name}


def test_code_of_a_bucket(call: Caller, bucket: Path) -> None:
    new = {**NEW, "Code": {**of_bucket("/v1/code.zip"), "CosBucketRegion": "ap-chongqing"}}

    def run() -> int:
        return int(json.loads(call("Invoke", **FUNCTION)["Result"]["RetMsg"])["version"])

    assert call("CreateFunction", **new) == {}
    assert run() == 1
    with zipfile.ZipFile(bucket / "v2.zip", "w") as archive:
        archive.writestr("index.py", HANDLER.replace('"version": 1', '"version": 2'))
    assert call("UpdateFunctionCode", **FUNCTION, Code=of_bucket("v2.zip")) == {}
    assert run() == 2
    assert call("UpdateFunctionCode", **FUNCTION, **of_bucket("v1/code.zip"), CosBucketRegion="ap-beijing") == {}
    assert run() == 1


def test_the_directory_of_buckets_may_be_relative_to_the_project(
    scf_settings: ScfSettings, bucket: Path, tmp_path: Path
) -> None:
    with ScfRuntime(scf_settings.replace("test", cos_directory="cos"), lookup=[bucket, tmp_path]) as runtime:
        function = runtime.create_function("export", cos_bucket_name="exports", cos_object_name="v1/code.zip")

        assert function.configuration.handler == "index.main_handler"


@pytest.mark.filterwarnings("ignore:.* is none of its parameters:pytest_scf_async.ScfAsyncWarning")
def test_what_the_component_toolkit_sends(call: Caller, bucket: Path) -> None:
    """Its requests are forms, in which all values are texts; `make wire` runs it."""
    own = call.endpoint.own_credential

    def send(action: str, sent: dict[str, str]) -> dict[str, Any]:
        query = urlencode({"FunctionName": "export", "Namespace": "default", **sent})
        http = HttpRequest("GET", "/", query, {"x-tc-action": action}, b"")
        answer = call.endpoint.answer(signed(http, own.secret_id, own.secret_key))
        assert answer is not None
        found: dict[str, Any] = json.loads(answer.body)["Response"]
        return found

    both = {
        "PublicNetConfig.PublicNetStatus": "ENABLE",
        "PublicNetConfig.EipConfig.EipStatus": "ENABLE",
        "L5Enable": "FALSE",
        "MemorySize": "128",
        "DiskSize": "512",
        "CfsConfig.CfsInsList.0.CfsId": "cfs-1",
    }
    code = {"Code.CosBucketName": "exports", "Code.CosObjectName": "v1/code.zip", "InstallDependency": "FALSE"}
    variable = {"Environment.Variables.0.Key": "BUCKET", "Environment.Variables.0.Value": "exports"}
    create = {**both, **code, **variable, "Type": "Event", "DeployMode": "code", "Runtime": "Python3.10"}
    clear = {
        "Environment.Variables.0.Key": "",
        "Environment.Variables.0.Value": "",
        "Layers.0.LayerName": "",
        "Layers.0.LayerVersion": "0",
    }

    assert "Error" not in send("CreateFunction", create)
    assert send("GetFunction", {"ShowTriggers": "FALSE"})["Environment"]["Variables"][0]["Value"] == "exports"
    assert "Error" not in send("UpdateFunctionCode", {**code, "Handler": "index.main_handler"})
    assert "Error" not in send("UpdateFunctionConfiguration", {**both, **clear, "Timeout": "60"})
    found = send("GetFunction", {"ShowTriggers": "FALSE"})
    assert (found["Timeout"], found["Environment"], found["Layers"]) == (60, {"Variables": []}, [])
    assert (found["EipConfig"]["EipFixed"], found["CfsConfig"]["CfsInsList"]) == ("TRUE", [{"CfsId": "cfs-1"}])
    assert "Error" not in send("DeleteFunction", {})
    assert send("GetFunction", {})["Error"]["Code"] == "ResourceNotFound.Function"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (of_bucket("none.zip"), "ResourceNotFound.CosObject"),
        (of_bucket("v1"), "ResourceNotFound.CosObject"),
        (of_bucket("v1/code.zip", "imports"), "ResourceNotFound.Cos"),
        (of_bucket("v1/code.zip", ".."), "InvalidParameterValue.CosBucketName"),
        (of_bucket("v1/code.zip", "a/b"), "InvalidParameterValue.CosBucketName"),
        (of_bucket("v1/code.zip", ""), "InvalidParameterValue.CosBucketName"),
        (of_bucket("../exports/v1/code.zip"), "InvalidParameterValue.CosObjectName"),
        (of_bucket("//v1/code.zip"), "InvalidParameterValue.CosObjectName"),
        (of_bucket(""), "InvalidParameterValue.CosObjectName"),
        ({"CosBucketName": "exports"}, "InvalidParameterValue.CosObjectName"),
        (of_bucket("notes.txt"), "InvalidParameterValue.CosObjectName"),
        (of_bucket("damaged.zip"), "InvalidParameterValue.CosObjectName"),
        ({**of_bucket("v1/code.zip"), "ZipFile": INDEX}, "InvalidParameterValue.Code"),
        ({"TempCosObjectName": "x"}, "UnsupportedOperation"),
    ],
)
def test_code_that_no_bucket_has(call: Caller, bucket: Path, code: dict[str, Any], error: str) -> None:
    with zipfile.ZipFile(bucket / "damaged.zip", "w") as archive:
        archive.writestr("../index.py", HANDLER)

    assert call("CreateFunction", **{**NEW, "Code": code}) == {"Error": error}


def test_no_bucket_without_the_setting(scf_settings: ScfSettings) -> None:
    with ScfRuntime(scf_settings.replace("test", cos_directory=None)) as runtime:
        call = Caller(runtime)
        new = {**NEW, "Code": of_bucket("v1/code.zip")}

        assert call("CreateFunction", **new) == {"Error": "UnsupportedOperation"}
        assert "cos_directory" in message_of(call, "CreateFunction", **new)


def test_a_directory_that_is_not_there_is_the_mistake_of_the_test(scf_settings: ScfSettings, tmp_path: Path) -> None:
    with ScfRuntime(scf_settings.replace("test", cos_directory="cos"), lookup=[tmp_path]) as runtime:
        endpoint = ScfEndpoint(runtime)
        with pytest.raises(ScfUsageError, match=rf"cos_directory='cos' is no directory: there is no {tmp_path}/cos"):
            runtime.create_function("export", cos_bucket_name="exports", cos_object_name="code.zip")
        endpoint.close()


# -- messages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("package", "said"),
    [
        (("CustomRuntime", "index.main", {"x": ""}), "there is no bootstrap"),
        (("Go1", "main", {"x": ""}), "has neither Go files nor a binary 'main'"),
        pytest.param(("Go1", "main", {"go.mod": "module x", "main.go": "x"}), "main.go", marks=pytest.mark.go),
        (("Python3.10", "index.main", {"../x": ""}), "is not a zip of code"),
    ],
)
def test_no_message_has_a_path_of_this_machine(
    call: Caller, tmp_path: Path, package: tuple[str, str, dict[str, str]], said: str
) -> None:
    runtime, handler, files = package
    code = {"ZipFile": zip_of(files)}

    message = message_of(call, "CreateFunction", **FUNCTION, Code=code, Runtime=runtime, Handler=handler)

    assert said in message
    assert "/tmp" not in message
    assert str(tmp_path.parents[1]) not in message
    assert "runtime-" not in message


def test_nor_has_one_of_what_went_wrong_here(call: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = f"{Path(__file__).parent}/some where/x.py"

    def fails(*_: object, **__: object) -> None:
        raise OSError(
            f"{tmp_path}/a-b.c/code: no space left, as {own} says; not of /exports/{{v1}}/x or http://a/tmp/b"
        )

    monkeypatch.setattr(call.runtime, "_lookup", (str(Path(__file__).parent),))
    monkeypatch.setattr(ScfRuntime, "list_functions", fails)

    message = message_of(call, "ListFunctions")

    assert "OSError: code: no space left, as some where/x.py says" in message
    assert "not of /exports/{v1}/x or http://a/tmp/b" in message
    assert len(call.endpoint.problems) == 1


def test_a_path_that_the_client_sent_is_shown(call: Caller) -> None:
    message = message_of(call, "CreateFunction", **{**NEW, "Description": "x", "FunctionName": "/tmp/x/y"})

    assert "'/tmp/x/y'" in message
