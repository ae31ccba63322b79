# pyright: basic, reportMissingImports=false
import json
import os
import signal
from typing import Any

from qcloud_cos import CosConfig, CosS3Client


def main_handler(event: dict[str, Any], context: dict[str, str]):
    config = CosConfig(
        Region=os.environ["TENCENTCLOUD_REGION"],
        SecretId=os.environ["TENCENTCLOUD_SECRETID"],
        SecretKey=os.environ["TENCENTCLOUD_SECRETKEY"],
        Token=os.environ["TENCENTCLOUD_SESSIONTOKEN"],
    )
    client = CosS3Client(config)
    bucket, done, stopping = event["bucket"], [], False

    def stop(signum: int, frame: object):
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    for key in event["keys"]:
        body = client.get_object(Bucket=bucket, Key=key)["Body"].get_raw_stream().read()
        client.put_object(Bucket=bucket, Key=f"archive/{key}", Body=body)
        done.append(key)
        print(f"archived {key}")
        if stopping:
            break
    client.put_object(Bucket=bucket, Key="archive/manifest.json", Body=json.dumps(done).encode())
    return {"archived": len(done), "complete": len(done) == len(event["keys"])}
