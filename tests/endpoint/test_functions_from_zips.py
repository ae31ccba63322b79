"""CreateFunction, UpdateFunctionCode, UpdateFunctionConfiguration: the platform's names, defaults and errors."""

from __future__ import annotations

import base64
import io
import os
import zipfile

import pytest
from internals import scratch_of

from pytest_scf_async.errors import ScfApiError

# once: rules of the platform: the same on all Pythons
pytestmark = pytest.mark.once

SAYS = "def main_handler(event, context): return {!r}\n"


def zipped(**files: str) -> str:
    """A zip in Base64 with *files*, by name without ``.py``."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.py", text)
    return base64.b64encode(data.getvalue()).decode()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


INDEX = zipped(index=SAYS.format("made"))


def refused(call, *arguments, **options):
    with pytest.raises(ScfApiError) as refusal:
        call(*arguments, **options)
    return refusal.value.code


def test_a_function_of_a_zip_runs(runtime):
    function = runtime.create_function("export", INDEX, runtime="Python3.10")
    assert (runtime.functions, function.name) == ({"export": function}, "export")
    assert runtime.invoke("export").ret_msg == '"made"'


def test_the_defaults_are_the_platforms(runtime):
    made = runtime.create_function("export", INDEX).configuration
    assert (made.runtime, made.handler, made.timeout, made.init_timeout) == ("Python2.7", "index.main_handler", 3, 65)
    assert (made.memory, made.memory_or_default, made.description) == (None, 128, "")
    assert (made.async_run, made.trace, made.namespace) == (False, False, "default")
    assert runtime.create_function("other", INDEX, async_run_enable="TRUE").configuration.timeout == 3


def test_what_is_given_is_its_configuration(runtime):
    made = runtime.create_function(
        "export",
        zipped(app=SAYS.format("made")),
        handler="app.main_handler",
        description="Exports rows.",
        memory_size=256,
        timeout=86_400,
        environment={"BUCKET": "exports"},
        runtime="Python3.9",
        init_timeout=30,
        async_run_enable="TRUE",
        trace_enable="TRUE",
    ).configuration
    assert (made.handler, made.description, made.memory) == ("app.main_handler", "Exports rows.", 256)
    assert (made.timeout, made.init_timeout, made.runtime) == (86_400, 30, "Python3.9")
    assert (dict(made.environment), made.async_run, made.trace) == ({"BUCKET": "exports"}, True, True)
    assert runtime.functions["export"].run() == "made"


def test_the_settings_give_what_the_platform_has_no_word_for(make_runtime):
    runtime = make_runtime(over_quota="queue", environment={"STAGE": "test"})
    made = runtime.create_function("export", INDEX, environment={"BUCKET": "exports"}).configuration
    assert (made.over_quota, dict(made.environment)) == ("queue", {"STAGE": "test", "BUCKET": "exports"})


def test_a_base64_text_may_have_line_breaks(runtime):
    text = base64.encodebytes(base64.b64decode(INDEX)).decode()
    assert "\n" in text.strip()
    runtime.create_function("export", text)
    assert runtime.invoke("export").ret_msg == '"made"'


def outside() -> str:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("../index.py", "")
    return encoded(data.getvalue())


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("InvalidParameterValue.FunctionName", {"function_name": "1export"}),
        ("InvalidParameterValue.FunctionName", {"function_name": None}),
        ("InvalidParameterValue.Namespace", {"namespace": "-"}),
        ("ResourceNotFound.Namespace", {"namespace": "other"}),
        ("InvalidParameterValue.Handler", {"handler": "main_handler"}),
        ("InvalidParameterValue.Handler", {"handler": 3}),
        ("InvalidParameterValue.MemorySize", {"memory_size": 100}),
        ("InvalidParameterValue.MemorySize", {"memory_size": "128"}),
        ("LimitExceeded.Memory", {"memory_size": 3200}),
        ("LimitExceeded.Timeout", {"timeout": 901}),
        ("LimitExceeded.Timeout", {"timeout": 86_401, "async_run_enable": "TRUE"}),
        ("InvalidParameterValue", {"timeout": 0}),
        ("InvalidParameterValue", {"timeout": "3"}),
        ("LimitExceeded.InitTimeout", {"init_timeout": 301}),
        ("InvalidParameterValue", {"init_timeout": 2}),
        ("InvalidParameterValue.Runtime", {"runtime": "Python3.11"}),
        ("InvalidParameterValue.Runtime", {"runtime": "Php8.0"}),
        ("InvalidParameterValue.Runtime", {"runtime": "CustomImage"}),
        ("InvalidParameterValue.Runtime", {"runtime": 3}),
        ("InvalidParameterValue.Description", {"description": "x" * 1001}),
        ("InvalidParameterValue.Description", {"description": 3}),
        ("InvalidParameterValue.Environment", {"environment": {"1": "x"}}),
        ("InvalidParameterValue.Environment", {"environment": {"KEY": 1}}),
        ("InvalidParameterValue.Environment", {"environment": ["KEY"]}),
        ("InvalidParameterValue.EnvironmentSystemProtect", {"environment": {"SCF_NAMESPACE": "x"}}),
        ("InvalidParameterValue.EnvironmentExceededLimit", {"environment": {"KEY": "x" * 4096}}),
        ("InvalidParameterValue.AsyncRunEnable", {"async_run_enable": "true"}),
        ("InvalidParameterValue.TraceEnable", {"trace_enable": True}),
        ("InvalidParameterValue.Type", {"function_type": "Web"}),
        ("UnsupportedOperation", {"function_type": "HTTP"}),
        ("MissingParameter.Code", {"zip_file": None}),
        ("InvalidParameterValue.ZipFileBase64BinasciiError", {"zip_file": "abc"}),
        ("InvalidParameterValue.ZipFileBase64BinasciiError", {"zip_file": "é"}),
        ("InvalidParameterValue.ZipFileBase64BinasciiError", {"zip_file": 3}),
        ("InvalidParameterValue.ZipFile", {"zip_file": encoded(b"no zip")}),
        ("InvalidParameterValue.ZipFile", {"zip_file": encoded(base64.b64decode(INDEX)[:-30])}),
        ("InvalidParameterValue.ZipFile", {"zip_file": outside()}),
        ("FailedOperation.CreateFunction", {"runtime": "Go1"}),
        ("FailedOperation.CreateFunction", {"runtime": "CustomRuntime"}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_what_is_refused_makes_no_function(runtime, code, arguments):
    assert refused(runtime.create_function, **{"function_name": "export", "zip_file": INDEX, **arguments}) == code
    assert runtime.functions == {}


def test_the_messages_have_the_platforms_names(runtime):
    with pytest.raises(ScfApiError) as refusal:
        runtime.create_function("export", INDEX, memory_size=100)
    assert str(refusal.value) == (
        "InvalidParameterValue.MemorySize: MemorySize=100 is not valid: it must be None, 64, or 128 to 3072 in steps "
        "of 128 (MB)."
    )
    with pytest.raises(ScfApiError) as refusal:
        runtime.create_function("export", INDEX, timeout=0)
    assert refusal.value.platform_message.startswith("Timeout=0 is not valid: ")


def test_a_value_of_the_environment_is_in_no_message(runtime):
    with pytest.raises(ScfApiError) as refusal:
        runtime.create_function("export", INDEX, environment={"SCF_SECRET": "hunter2", "KEY": "hunter2"})
    assert "SCF_SECRET" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_a_name_that_is_taken(runtime):
    runtime.create_function("export", INDEX)
    assert refused(runtime.create_function, "export", INDEX) == "ResourceInUse.FunctionName"


def test_a_namespace_and_a_name_that_are_too_long_together(runtime):
    runtime.create_namespace("n" * 60)
    arguments = {"namespace": "n" * 60, "function_name": "f" * 59}
    assert refused(runtime.create_function, zip_file=INDEX, **arguments) == "InvalidParameterValue.LimitExceeded"


def test_what_was_refused_leaves_nothing_on_disk(runtime):
    runtime.create_function("export", INDEX)
    before = sorted(os.listdir(scratch_of(runtime)))
    refused(runtime.create_function, "other", outside())
    refused(runtime.create_function, "other", INDEX, memory_size=100)
    assert sorted(os.listdir(scratch_of(runtime))) == before
    assert [name for name in before if name.startswith("upload-")] == []


def test_other_code(runtime):
    function = runtime.create_function("export", INDEX)
    runtime.update_function_code("export", zipped(index=SAYS.format("updated")))
    assert (runtime.invoke("export").ret_msg, function.versions) == ('"updated"', ["$LATEST"])
    runtime.update_function_code("export", zipped(app=SAYS.format("moved")), handler="app.main_handler", publish="TRUE")
    assert function.versions == ["$LATEST", "1"]
    assert runtime.invoke("export", qualifier="1").ret_msg == '"moved"'


def test_another_configuration(runtime):
    function = runtime.create_function("export", INDEX, environment={"BUCKET": "exports"}, description="before")
    runtime.update_function_configuration("export", timeout=30, memory_size=256, trace_enable="TRUE", publish="TRUE")
    made = function.configuration
    assert (made.timeout, made.memory, made.trace, dict(made.environment)) == (30, 256, True, {"BUCKET": "exports"})
    assert (made.description, function.versions) == ("before", ["$LATEST", "1"])

    runtime.update_function_configuration("export", environment={}, init_timeout=10, description="")
    made = function.configuration
    assert (dict(made.environment), made.init_timeout, made.description, made.timeout) == ({}, 10, "", 30)


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("ResourceNotFound.Function", {"function_name": "import"}),
        ("MissingParameter.Code", {"zip_file": None}),
        ("InvalidParameterValue.ZipFile", {"zip_file": encoded(b"no zip")}),
        ("InvalidParameterValue.Handler", {"handler": "x"}),
        ("InvalidParameterValue", {"publish": "yes"}),
    ],
)
def test_what_is_refused_of_other_code(runtime, code, arguments):
    runtime.create_function("export", INDEX)
    assert refused(runtime.update_function_code, **{"function_name": "export", "zip_file": INDEX, **arguments}) == code
    assert runtime.invoke("export").ret_msg == '"made"'


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("ResourceNotFound.Function", {"function_name": "import"}),
        ("ResourceNotFound.Namespace", {"namespace": "other"}),
        ("InvalidParameterValue.MemorySize", {"memory_size": 1}),
        ("LimitExceeded.Timeout", {"timeout": 901}),
        ("InvalidParameterValue.TraceEnable", {"trace_enable": "on"}),
        ("InvalidParameterValue.EnvironmentSystemProtect", {"environment": {"QCLOUD_X": ""}}),
    ],
)
def test_what_is_refused_of_another_configuration(runtime, code, arguments):
    function = runtime.create_function("export", INDEX)
    before = function.configuration
    assert refused(runtime.update_function_configuration, **{"function_name": "export", **arguments}) == code
    assert function.configuration == before


def test_code_of_an_image_cannot_be_updated(runtime, deploy_image):
    function = deploy_image("", name="image")
    assert refused(runtime.update_function_code, function.name, INDEX) == "FailedOperation.UpdateFunctionCode"
