"""A folder uploaded by boto3 from eight threads: the usual way."""

from __future__ import annotations

import argparse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3

THREADS = 8


def upload(folder: Path, bucket: str, prefix: str) -> None:
    client = boto3.client("s3")

    def put(path: Path) -> None:
        key = f"{prefix}/{path.relative_to(folder).as_posix()}"
        client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes(), ContentType="image/jpeg")

    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(put, (path for path in folder.rglob("*") if path.is_file())):
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("bucket")
    parser.add_argument("prefix")
    upload(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
