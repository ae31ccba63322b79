"""What stands in for the package ``qcloud_cos`` in the handler's process."""

import io
import sys
import time
import types

from pytest_scf_async.inside import record

UPLOAD_SECONDS = 2


def install(objects: dict[str, str]):
    stored = {key: text.encode() for key, text in objects.items()}

    class Body:
        def __init__(self, data: bytes):
            self.data = data

        def get_raw_stream(self):
            return io.BytesIO(self.data)

    class CosS3Client:
        def __init__(self, config: dict[str, str]):
            record("client", region=config["Region"])

        def get_object(self, Bucket: str, Key: str):
            return {"Body": Body(stored[Key])}

        def put_object(self, Bucket: str, Key: str, Body: bytes):
            time.sleep(UPLOAD_SECONDS)
            stored[Key] = Body
            record("put", bucket=Bucket, key=Key, text=Body.decode())

    module = types.ModuleType("qcloud_cos")
    vars(module).update(CosConfig=dict, CosS3Client=CosS3Client)
    sys.modules["qcloud_cos"] = module
