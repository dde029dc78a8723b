"""A server that speaks S3's protocol on loopback, in a process of its own."""

import os
import subprocess
import sys
from contextlib import contextmanager

_PROGRAM = """
import logging, sys
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").disabled = True
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()
"""
VARIABLES = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "not-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


@contextmanager
def s3_server(*buckets, checks=False):
    """Run a server with some buckets; give its process, and the variables with which clients find it.

    Args:
        checks: whether requests need a key that it knows, which it knows none.
    """
    variables = {**os.environ, **VARIABLES}
    if checks:
        variables["INITIAL_NO_AUTH_ACTION_COUNT"] = str(len(buckets))
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, text=True, env=variables,
    ) as process:  # fmt: skip
        try:
            host, port = process.stdout.readline().split()
            found = {**VARIABLES, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
            for bucket in buckets:
                _make(bucket, found["AWS_ENDPOINT_URL"])
            yield process, found
        finally:
            process.kill()


def _make(bucket, url):
    import boto3

    client = boto3.session.Session().client(
        "s3", endpoint_url=url, region_name="us-east-1",
        aws_access_key_id="key", aws_secret_access_key="not-secret",
    )  # fmt: skip
    client.create_bucket(Bucket=bucket)
    client.close()
