"""Requests of real clients as a server received them, signed with a key that is none. Times are those of November 2026.

They were made by tencentcloud-sdk-python 3.1.195, tencentcloud-sdk-nodejs-common 4.1.220, @tencent-sdk/capi 2.0.3,
tccli 3.1.189.1 and tencentcloud-sdk-go 1.3.166. Headers that neither a signature nor a parameter needs are left out.
"""

from __future__ import annotations

from pytest_scf_async.endpoint.http_request import HttpRequest

SECRET_ID = "AKIDtest"
SECRET_KEY = "key-of-a-test"
TOKENS = {"nodejs": "tok/en+1=", "python": "tok/en+1=", "capi": "tok"}
"""By the first word of a request's name; the others have none."""

REQUESTS: dict[str, HttpRequest] = {
    "nodejs TC3 POST": HttpRequest(
        "POST",
        "/",
        "",
        {
            "host": "127.0.0.1:18765",
            "x-tc-action": "ListAsyncEvents",
            "x-tc-region": "ap-guangzhou",
            "x-tc-timestamp": "1795728663",
            "x-tc-version": "2018-04-16",
            "x-tc-token": "tok/en+1=",
            "x-tc-requestclient": "SDK_NODEJS_4.1.220",
            "content-type": "application/json",
            "authorization": (
                "TC3-HMAC-SHA256 Credential=AKIDtest/2026-11-26/127/tc3_request, SignedHeaders=content-type;host,"
                " Signature=ae46832d0583741f9817387f7fe66cdc8dba985ffa9721a3eea2968918c9fe8a"
            ),
        },
        (
            b'{"FunctionName":"export","Status":["RUNNING","FAILED"],"StartTimeInterval":{"Start":"2026-01-01 '
            b'00:00:00","End":"2026-01-02 00:00:00"},"Limit":5}'
        ),
    ),
    "nodejs TC3 GET": HttpRequest(
        "GET",
        "/",
        (
            "FunctionName=export&Status.0=RUNNING&Status.1=FAILED&StartTimeInterval.Start=2026-01-01%2000%3A0"
            "0%3A00&StartTimeInterval.End=2026-01-02%2000%3A00%3A00&Limit=5"
        ),
        {
            "host": "127.0.0.1:18765",
            "x-tc-action": "ListAsyncEvents",
            "x-tc-region": "ap-guangzhou",
            "x-tc-timestamp": "1795728663",
            "x-tc-version": "2018-04-16",
            "x-tc-token": "tok/en+1=",
            "x-tc-requestclient": "SDK_NODEJS_4.1.220",
            "content-type": "application/x-www-form-urlencoded",
            "authorization": (
                "TC3-HMAC-SHA256 Credential=AKIDtest/2026-11-26/127/tc3_request, SignedHeaders=content-type;host,"
                " Signature=a7b0e83269b2866830e07e388d794a373f7b4e5e52924a292ca6d2209d83ea4f"
            ),
        },
        b"",
    ),
    "nodejs HmacSHA1 POST": HttpRequest(
        "POST",
        "/",
        "",
        {
            "content-type": "application/x-www-form-urlencoded",
            "host": "127.0.0.1:18765",
        },
        (
            b"FunctionName=export&Status.0=RUNNING&Status.1=FAILED&StartTimeInterval.Start=2026-01-01%2000%3A0"
            b"0%3A00&StartTimeInterval.End=2026-01-02%2000%3A00%3A00&Limit=5&Action=ListAsyncEvents&RequestCli"
            b"ent=SDK_NODEJS_4.1.220&Nonce=36313&Timestamp=1795728664&Version=2018-04-16&SecretId=AKIDtest&Reg"
            b"ion=ap-guangzhou&Token=tok%2Fen%2B1%3D&SignatureMethod=HmacSHA1&Signature=lsOq2PnxiEr1aKH6mOPMZG"
            b"fAuWo%3D"
        ),
    ),
    "nodejs HmacSHA256 GET": HttpRequest(
        "GET",
        "/",
        (
            "FunctionName=export&Status.0=RUNNING&Status.1=FAILED&StartTimeInterval.Start=2026-01-01%2000%3A0"
            "0%3A00&StartTimeInterval.End=2026-01-02%2000%3A00%3A00&Limit=5&Action=ListAsyncEvents&RequestCli"
            "ent=SDK_NODEJS_4.1.220&Nonce=23596&Timestamp=1795728664&Version=2018-04-16&SecretId=AKIDtest&Reg"
            "ion=ap-guangzhou&Token=tok%2Fen%2B1%3D&SignatureMethod=HmacSHA256&Signature=49mv%2BTgId0HHVauIPg"
            "pG%2FFWkk5HI6eOg1VsbzJXZXJ4%3D"
        ),
        {
            "host": "127.0.0.1:18765",
        },
        b"",
    ),
    "capi HmacSHA1 POST": HttpRequest(
        "POST",
        "/",
        "",
        {
            "content-type": "application/json",
            "host": "127.0.0.1:18765",
        },
        (
            b"FunctionName=export&Status.0=RUNNING&Status.1=FAILED&StartTimeInterval.Start=2026-01-01+00%3A00%"
            b"3A00&StartTimeInterval.End=2026-01-02+00%3A00%3A00&Limit=5&Action=ListAsyncEvents&Region=ap-guan"
            b"gzhou&Nonce=61194&Timestamp=1795728664&SecretId=AKIDtest&Version=2018-04-16&RequestClient=TENCEN"
            b"T_SDK_CAPI&Token=tok&Signature=yLar8GgthFIPdZh%2BJJuwUAQR6Lo%3D"
        ),
    ),
    "capi HmacSHA256 GET": HttpRequest(
        "GET",
        "/",
        (
            "FunctionName=export&Status.0=RUNNING&Status.1=FAILED&StartTimeInterval.Start=2026-01-01%2000%3A0"
            "0%3A00&StartTimeInterval.End=2026-01-02%2000%3A00%3A00&Limit=5&Action=ListAsyncEvents&Region=ap-"
            "guangzhou&Nonce=43016&Timestamp=1795728664&SecretId=AKIDtest&Version=2018-04-16&RequestClient=TE"
            "NCENT_SDK_CAPI&Token=tok&SignatureMethod=HmacSHA256&Signature=W6r%2F1Z9eTfk6jXF0fjzaQ0jh52WDDvH8"
            "hzwwKdIoofo%3D"
        ),
        {
            "content-type": "application/json",
            "host": "127.0.0.1:18765",
        },
        b"",
    ),
    "capi TC3 POST": HttpRequest(
        "POST",
        "/",
        "",
        {
            "content-type": "application/json",
            "authorization": (
                "TC3-HMAC-SHA256 Credential=AKIDtest/2026-11-26/scf/tc3_request, SignedHeaders=content-type;host,"
                " Signature=a9d42ea4b315ac55a28fc66ab1c8398b0476c14492d7e98aef49b2951b2a5d02"
            ),
            "host": "127.0.0.1:18765",
            "x-tc-action": "ListAsyncEvents",
            "x-tc-version": "2018-04-16",
            "x-tc-timestamp": "1795728664",
            "x-tc-region": "ap-guangzhou",
            "x-tc-requestclient": "TENCENT_SDK_CAPI",
            "x-tc-token": "tok",
        },
        (
            b'{"FunctionName":"export","Status":["RUNNING","FAILED"],"StartTimeInterval":{"Start":"2026-01-01 '
            b'00:00:00","End":"2026-01-02 00:00:00"},"Limit":5}'
        ),
    ),
    "python TC3 POST": HttpRequest(
        "POST",
        "/",
        "",
        {
            "content-type": "application/json",
            "host": "127.0.0.1:18765",
            "x-tc-action": "ListAsyncEvents",
            "x-tc-requestclient": "SDK_PYTHON_3.1.195",
            "x-tc-timestamp": "1795728665",
            "x-tc-version": "2018-04-16",
            "x-tc-region": "ap-guangzhou",
            "x-tc-token": "tok/en+1=",
            "x-tc-language": "zh-CN",
            "authorization": (
                "TC3-HMAC-SHA256 Credential=AKIDtest/2026-11-26/scf/tc3_request, SignedHeaders=content-type;host,"
                " Signature=0e930576880c5b504f71f647f7a4b5407c9abed4b2feb77266e0676a2888a671"
            ),
        },
        (
            b'{"FunctionName": "export", "Status": ["RUNNING", "FAILED"], "StartTimeInterval": {"Start": "2026'
            b'-01-01 00:00:00", "End": "2026-01-02 00:00:00"}, "Limit": 5}'
        ),
    ),
    "python TC3 GET UNSIGNED-PAYLOAD": HttpRequest(
        "GET",
        "/",
        (
            "FunctionName=export&Status.0=RUNNING&Status.1=FAILED&StartTimeInterval.Start=2026-01-01+00%3A00%"
            "3A00&StartTimeInterval.End=2026-01-02+00%3A00%3A00&Limit=5"
        ),
        {
            "content-type": "application/x-www-form-urlencoded",
            "host": "127.0.0.1:18765",
            "x-tc-action": "ListAsyncEvents",
            "x-tc-requestclient": "SDK_PYTHON_3.1.195",
            "x-tc-timestamp": "1795728665",
            "x-tc-version": "2018-04-16",
            "x-tc-content-sha256": "UNSIGNED-PAYLOAD",
            "x-tc-region": "ap-guangzhou",
            "x-tc-token": "tok/en+1=",
            "x-tc-language": "zh-CN",
            "authorization": (
                "TC3-HMAC-SHA256 Credential=AKIDtest/2026-11-26/scf/tc3_request, SignedHeaders=content-type;host,"
                " Signature=d2fdf542abff36a3383213b4d3a0adf3d8a9bd3d89999471c60482d17d64d3c3"
            ),
        },
        b"",
    ),
    "python HmacSHA1 POST": HttpRequest(
        "POST",
        "/",
        "",
        {
            "content-type": "application/x-www-form-urlencoded",
            "host": "127.0.0.1:18765",
        },
        (
            b"FunctionName=export&Status.0=RUNNING&Status.1=FAILED&StartTimeInterval.Start=2026-01-01+00%3A00%"
            b"3A00&StartTimeInterval.End=2026-01-02+00%3A00%3A00&Limit=5&Action=ListAsyncEvents&RequestClient="
            b"SDK_PYTHON_3.1.195&Nonce=3299876230147488814&Timestamp=1795728665&Version=2018-04-16&Region=ap-g"
            b"uangzhou&Token=tok%2Fen%2B1%3D&SecretId=AKIDtest&SignatureMethod=HmacSHA1&Language=zh-CN&Signatu"
            b"re=GpOmKeG5ZF5XGJtB%2FEoApYeQbyw%3D"
        ),
    ),
    "python HmacSHA256 GET, scheme in Host": HttpRequest(
        "GET",
        "/",
        (
            "FunctionName=export&Status.0=RUNNING&Status.1=FAILED&StartTimeInterval.Start=2026-01-01+00%3A00%"
            "3A00&StartTimeInterval.End=2026-01-02+00%3A00%3A00&Limit=5&Action=ListAsyncEvents&RequestClient="
            "SDK_PYTHON_3.1.195&Nonce=1749313662881476224&Timestamp=1795728665&Version=2018-04-16&Region=ap-g"
            "uangzhou&Token=tok%2Fen%2B1%3D&SecretId=AKIDtest&SignatureMethod=HmacSHA256&Language=zh-CN&Signa"
            "ture=woEZlqQ4DEzhg%2BWtgFRvopn9%2BPikCkE5iiD9NRdY9OM%3D"
        ),
        {
            "content-type": "application/x-www-form-urlencoded",
            "host": "http://127.0.0.1:18765",
        },
        b"",
    ),
    "python TC3 POST, path in Host": HttpRequest(
        "POST",
        "/prefix",
        "",
        {
            "content-type": "application/json",
            "host": "127.0.0.1:18765/prefix",
            "x-tc-action": "ListAsyncEvents",
            "x-tc-requestclient": "SDK_PYTHON_3.1.195",
            "x-tc-timestamp": "1795728665",
            "x-tc-version": "2018-04-16",
            "x-tc-region": "ap-guangzhou",
            "x-tc-token": "tok/en+1=",
            "x-tc-language": "zh-CN",
            "authorization": (
                "TC3-HMAC-SHA256 Credential=AKIDtest/2026-11-26/scf/tc3_request, SignedHeaders=content-type;host,"
                " Signature=8eef06e596651930b1c7994a0a91305b882b4495a738deeb2333435797f7aa72"
            ),
        },
        (
            b'{"FunctionName": "export", "Status": ["RUNNING", "FAILED"], "StartTimeInterval": {"Start": "2026'
            b'-01-01 00:00:00", "End": "2026-01-02 00:00:00"}, "Limit": 5}'
        ),
    ),
    "tccli TC3 POST, scheme in Host": HttpRequest(
        "POST",
        "/",
        "",
        {
            "content-type": "application/json",
            "host": "http://127.0.0.1:18765",
            "x-tc-action": "ListAsyncEvents",
            "x-tc-requestclient": "SDK_PYTHON_3.1.195; _CLI_3.1.189.1",
            "x-tc-timestamp": "1795728667",
            "x-tc-version": "2018-04-16",
            "x-tc-region": "ap-guangzhou",
            "x-tc-language": "zh-CN",
            "authorization": (
                "TC3-HMAC-SHA256 Credential=AKIDtest/2026-11-26/scf/tc3_request, SignedHeaders=content-type;host,"
                " Signature=4bc32385adfeeb211166af4ac9d787ec3fecd377951ea3568ec45d4f70f32ffc"
            ),
        },
        b'{"FunctionName": "export"}',
    ),
    "go TC3 POST, path": HttpRequest(
        "POST",
        "/prefix",
        "",
        {
            "host": "127.0.0.1:18765",
            "authorization": (
                "TC3-HMAC-SHA256 Credential=AKIDtest/2026-11-26/scf/tc3_request, SignedHeaders=content-type;host,"
                " Signature=47a205b88c8b004c39d18be274d5be7eb8032207880a373c9c5603f47a577ec4"
            ),
            "content-type": "application/json",
            "x-tc-action": "ListAsyncEvents",
            "x-tc-content-sha256": "UNSIGNED-PAYLOAD",
            "x-tc-language": "zh-CN",
            "x-tc-region": "ap-guangzhou",
            "x-tc-requestclient": "SDK_GO_1.3.166",
            "x-tc-timestamp": "1795729194",
            "x-tc-version": "2018-04-16",
        },
        (
            b'{"FunctionName":"export","Status":["RUNNING","FAILED"],"StartTimeInterval":{"Start":"2026-01-01 '
            b'00:00:00","End":"2026-01-02 00:00:00"},"Limit":5}'
        ),
    ),
    "go TC3 GET": HttpRequest(
        "GET",
        "/",
        (
            "FunctionName=export&Limit=5&StartTimeInterval.End=2026-01-02+00%3A00%3A00&StartTimeInterval.Star"
            "t=2026-01-01+00%3A00%3A00&Status.0=RUNNING&Status.1=FAILED"
        ),
        {
            "host": "127.0.0.1:18765",
            "authorization": (
                "TC3-HMAC-SHA256 Credential=AKIDtest/2026-11-26/scf/tc3_request, SignedHeaders=content-type;host,"
                " Signature=9d9d2a229423b3f5b3b773c6fe6288340fc5c01465025ff9a0d6c1ba239b5877"
            ),
            "content-type": "application/x-www-form-urlencoded",
            "x-tc-action": "ListAsyncEvents",
            "x-tc-content-sha256": "UNSIGNED-PAYLOAD",
            "x-tc-language": "zh-CN",
            "x-tc-region": "ap-guangzhou",
            "x-tc-requestclient": "SDK_GO_1.3.166",
            "x-tc-timestamp": "1795729172",
            "x-tc-version": "2018-04-16",
        },
        b"",
    ),
    "go HmacSHA1 POST": HttpRequest(
        "POST",
        "/",
        "",
        {
            "host": "127.0.0.1:18765",
            "content-type": "application/x-www-form-urlencoded",
        },
        (
            b"Action=ListAsyncEvents&FunctionName=export&Language=zh-CN&Limit=5&Nonce=7364577988062624690&Regi"
            b"on=ap-guangzhou&RequestClient=SDK_GO_1.3.166&SecretId=AKIDtest&Signature=oDqFj8wrKgoBCxyxuQhgNCv"
            b"IHCU%3D&SignatureMethod=HmacSHA1&StartTimeInterval.End=2026-01-02+00%3A00%3A00&StartTimeInterval"
            b".Start=2026-01-01+00%3A00%3A00&Status.0=RUNNING&Status.1=FAILED&Timestamp=1795729172&Version=201"
            b"8-04-16"
        ),
    ),
    "go HmacSHA1 GET, empty Language, path": HttpRequest(
        "GET",
        "/prefix",
        (
            "Action=ListAsyncEvents&FunctionName=export&Language=&Limit=5&Nonce=3475269942168275603&Region=ap"
            "-guangzhou&RequestClient=SDK_GO_1.3.166&SecretId=AKIDtest&Signature=s6iNgro8eml1Tco0b1KxGok71sQ%"
            "3D&SignatureMethod=HmacSHA1&StartTimeInterval.End=2026-01-02+00%3A00%3A00&StartTimeInterval.Star"
            "t=2026-01-01+00%3A00%3A00&Status.0=RUNNING&Status.1=FAILED&Timestamp=1795729194&Version=2018-04-"
            "16"
        ),
        {
            "host": "127.0.0.1:18765",
        },
        b"",
    ),
}
