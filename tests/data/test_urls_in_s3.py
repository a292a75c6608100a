"""An S3-compatible store on this machine: the same sets, and no credential is shown anywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.data import open_images
from assay.errors import DataError, UsageError

from .url_sets import SETS, levels

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(scope="module")
def s3():
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    endpoint = f"http://127.0.0.1:{port}"
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="s3cr3t",
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="bucket")
    for name, content in SETS.items():
        client.put_object(Bucket="bucket", Key=f"sets/{name}", Body=content)
    yield endpoint
    server.stop()


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.parquet", "a.npz", "pictures", "pictures/*.png"])
def test_every_form_is_read_from_s3(s3, name, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    fsspec.filesystem("s3").clear_instance_cache()
    source = open_images(f"s3://bucket/sets/{name}")
    assert levels(source) == [0, 1, 2, 3]
    if "*" not in name:
        assert source.signature == open_images(f"s3://bucket/sets/{name}").signature is not None


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
def test_s3_by_storage_options_and_its_errors(s3, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    options = {"key": "AKIAEXAMPLE", "secret": "s3cr3t", "client_kwargs": {"endpoint_url": s3}}
    source = open_images("s3://bucket/sets/pictures", storage_options=options)
    assert levels(source) == [0, 1, 2, 3]
    assert "s3cr3t" not in repr(source) and "AKIAEXAMPLE" not in repr(source)
    for url in ("s3://bucket/sets/none.zip", "s3://bucket/none/*.zip"):
        with pytest.raises(DataError) as caught:
            open_images(url, storage_options=options)
        assert "s3cr3t" not in str(caught.value) and "AKIAEXAMPLE" not in str(caught.value)
    with pytest.raises(UsageError, match="credentials in s3:// URLs are not read") as refused:
        open_images("s3://AKIAEXAMPLE:s3cr3t@bucket/a.zip")
    assert "s3cr3t" not in str(refused.value) and "AKIA" not in str(refused.value)


def test_this_file_reads_nothing_beyond_this_machine():
    text = Path(__file__).read_text()
    assert "amazon" + "aws.com" not in text
