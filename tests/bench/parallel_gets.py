"""One S3 client and 32 threads, each of which gets objects and writes files: the instructions step of `limit.sh`."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
from botocore.config import Config

bucket, _, prefix = sys.argv[1].removeprefix("s3://").removesuffix("*").partition("/")
target = Path(sys.argv[2])
client = boto3.client("s3", config=Config(max_pool_connections=32))
pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
for folder in {(target / key.removeprefix(prefix)).parent for key in keys}:
    folder.mkdir(parents=True, exist_ok=True)


def get(key: str) -> None:
    (target / key.removeprefix(prefix)).write_bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read())


with ThreadPoolExecutor(32) as pool:
    list(pool.map(get, keys))
