"""The errors that only the endpoint raises: its operations, and what is wrong with a request.

A module of the endpoint has `api_error` from here, as importing this adds the texts to those of the kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ...model.codes import add_texts, api_error

__all__ = ["ERROR_TEXTS", "api_error"]

ERROR_TEXTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # The first halves of these are the platform's own words, as clients look for them.
        "AuthFailure.InvalidAuthorization": (
            "The request `Authorization` header does not conform to tencentcloud standards: {reason}."
        ),
        "AuthFailure.SecretIdNotFound": (
            "The SecretId is not found, please ensure that your SecretId is correct: {secret_id!r}; the endpoint "
            "knows its own (scf_endpoint.secret_id, or what serve --print-env prints), those of functions' roles, and "
            "those given to add_credentials."
        ),
        "AuthFailure.SignatureExpire": (
            "The signature has expired: {name} is {timestamp}; it must be within 300 seconds of the real time ({real}) "
            "or of the simulated time ({simulated})."
        ),
        "AuthFailure.SignatureFailure": (
            "The provided credentials could not be validated. Please check your signature is correct: {reason}."
        ),
        "AuthFailure.TokenFailure": "Token verification failed, please check if your Token is correct: {reason}.",
        "FailedOperation.CreateFunction": "Function {function_name!r} cannot be created from this code: {reason}.",
        "FailedOperation.DeleteAlias": "Alias {alias!r} cannot be deleted: {reason}.",
        "FailedOperation.DeleteNamespace": "The namespace {namespace!r} cannot be deleted.",
        "FailedOperation.InvokeFunction": "Function {function_name!r} was invoked, and the call failed: {reason}.",
        "FailedOperation.PublishVersion": (
            "Function {function_name!r} is {status}, and a version is published of an Active one only."
        ),
        "FailedOperation.UpdateFunctionCode": "The code of function {function_name!r} cannot be updated: {reason}.",
        "FailedOperation.UpdateFunctionConfiguration": (
            "The configuration of function {function_name!r} cannot be updated: {reason}."
        ),
        "FailedOperation.UpdateTriggerStatus": "The trigger {name!r} is {state} already.",
        "InternalError": "The endpoint of pytest-scf-async failed: {problem}.",
        "InvalidAction": "There is no action {action!r}.",
        "InvalidParameter": "{name} is not valid: it must be {valid}.",
        "InvalidParameter.FunctionName": "FunctionName={value!r} is not valid: {valid}.",
        "InvalidParameter.RequestTooLarge": "{name} has {size} bytes, and the limit is {limit}.",
        "InvalidParameterValue.AdditionalVersionWeights": "Weight={value!r} is not valid: {valid}.",
        "InvalidParameterValue.AsyncRunEnable": "AsyncRunEnable={value!r} is not valid: {valid}.",
        "InvalidParameterValue.AsyncTriggerConfig": "{name}={value!r} is not valid: {valid}.",
        "InvalidParameterValue.DefaultNamespace": "The namespace {namespace!r} is always there and cannot be created.",
        "InvalidParameterValue.Description": "Description={value!r} is not valid: {valid}.",
        "InvalidParameterValue.Enable": "Enable={value!r} is not valid: {valid}.",
        "InvalidParameterValue.Environment": "Environment is not valid: {valid}.",
        "InvalidParameterValue.EnvironmentExceededLimit": "Environment is not valid: {valid}.",
        "InvalidParameterValue.EnvironmentSystemProtect": "Environment is not valid: {valid}.",
        "InvalidParameterValue.Filters": "Filters has {value!r}, which is not valid: {valid}.",
        "InvalidParameterValue.Code": "Code is not valid: {valid}.",
        "InvalidParameterValue.CosBucketName": "CosBucketName={value!r} is not valid: {valid}.",
        "InvalidParameterValue.CosObjectName": "CosObjectName={value!r} is not valid: {valid}.",
        "InvalidParameterValue.FunctionRequestId": "FunctionRequestId={value!r} is not valid: {valid}.",
        "InvalidParameterValue.Handler": "Handler={value!r} is not valid: {valid}.",
        "InvalidParameterValue.LimitExceeded": "{name}={value!r} is not valid: {valid}.",
        "InvalidParameterValue.MemorySize": "MemorySize={value!r} is not valid: {valid}.",
        "InvalidParameterValue.Name": "Name={value!r} is not valid: {valid}.",
        "InvalidParameterValue.OrderBy": "OrderBy={value!r} is not valid; valid are {valid}.",
        "InvalidParameterValue.Param": "{name} is not JSON: {reason}.",
        "InvalidParameterValue.PublicNetConfig": "PublicNetConfig has {name}={value!r}, which is not valid: {valid}.",
        "InvalidParameterValue.RetCode": "RetCode={value!r} is not valid; valid are {valid}.",
        "InvalidParameterValue.RoutingConfig": "RoutingConfig has {value!r}, which is not valid: {valid}.",
        "InvalidParameterValue.Runtime": "Runtime={value!r} is not valid: {valid}.",
        "InvalidParameterValue.SearchKey": "SearchKey has {value!r}, which is not valid; valid are {valid}.",
        "InvalidParameterValue.StartTimeOrEndTime": "StartTime and EndTime are not valid: {reason}.",
        "InvalidParameterValue.TraceEnable": "TraceEnable={value!r} is not valid: {valid}.",
        "InvalidParameterValue.Type": "Type={value!r} is not valid: {valid}.",
        "InvalidParameterValue.ZipFile": "ZipFile has {size} bytes and is not a zip of code of at most {most} bytes.",
        "InvalidParameterValue.ZipFileBase64BinasciiError": "ZipFile is not in Base64: {reason}.",
        "InvalidRequest": "The request cannot be read: {reason}.",
        "LimitExceeded.InitTimeout": "InitTimeout={value!r} is not valid: {valid}.",
        "LimitExceeded.Memory": "MemorySize={value!r} is not valid: {valid}.",
        "LimitExceeded.MsgTTL": "MsgTTL={value!r} is not valid: {valid}.",
        "LimitExceeded.Offset": "Offset and Limit add up to {sum}, and the limit is {most}.",
        "LimitExceeded.RetryNum": "RetryNum={value!r} is not valid: {valid}.",
        "LimitExceeded.Timeout": "Timeout={value!r} is not valid: {valid}.",
        "MissingParameter": "The request is missing a required parameter `{name}`.",
        "MissingParameter.Code": "{name} is missing.",
        "NoSuchVersion": "There is no version {version!r} of the API; the only version is {valid}.",
        "RequestLimitExceeded": "{action} has already had its {limit} requests in this second.",
        "RequestSizeLimitExceeded": "The request has {size} bytes, and a {method} may have {limit} at most.",
        "ResourceInUse.Alias": "Function {function_name!r} has an alias {alias!r} already.",
        "ResourceInUse.FunctionName": "A function {function_name!r} already exists in namespace {namespace!r}.",
        "ResourceInUse.Namespace": "The namespace {namespace!r} is in use: {reason}.",
        "ResourceNotFound.Alias": "Function {function_name!r} has no alias {alias!r}.",
        "ResourceNotFound.Cos": "There is no bucket {bucket!r}.",
        "ResourceNotFound.CosObject": "The bucket {bucket!r} has no object {name!r}.",
        "UnknownParameter": "There is no parameter {name}{hint}.",
        "UnsupportedOperation": "{what} is not supported.",
        "UnsupportedProtocol": "{what} is not supported: it must be {valid}.",
    }
)

add_texts(ERROR_TEXTS)
