"""What opens a URL is never shown: not by the URL itself, not by what others say of it."""

from __future__ import annotations

import pytest

from assay.data import without_credentials
from assay.data.credentials import without_secrets

SECRETS = ("hunter2", "s3cr3t", "AKIAEXAMPLE", "p@ss", "pa/ss", "pa#ss", "pa?ss")


@pytest.mark.parametrize(
    "url,expected",
    [
        ("shots/a.zip", "shots/a.zip"),
        ("me:hunter2@home.zip", "me:hunter2@home.zip"),  # a path, not a URL
        ("s3://bucket/a@2x.zip", "s3://bucket/a@2x.zip"),
        ("hf://datasets/user/repo@main/a.parquet#image", "hf://datasets/user/repo@main/a.parquet#image"),
        ("https://host:8080/a.zip", "https://host:8080/a.zip"),
        ("https://[::1]:8080/a@b.zip", "https://[::1]:8080/a@b.zip"),
        ("https://user:hunter2@host/a.zip", "https://host/a.zip"),
        ("https://user:p@ss@host:80/a.zip", "https://host:80/a.zip"),
        ("https://user:pa/ss@host/a.zip", "https://host/a.zip"),
        ("https://user:pa#ss@host/a.zip", "https://host/a.zip"),
        ("https://user:pa?ss@host/a.zip", "https://host/a.zip"),
        ("https://s3cr3t@host/a.zip", "https://host/a.zip"),
        ("HTTPS://user:hunter2@host/a.zip", "HTTPS://host/a.zip"),
        ("s3://AKIAEXAMPLE:hunter2@bucket/a.zip", "s3://bucket/a.zip"),
        ("https://h/a.zip?X-Amz-Signature=s3cr3t&X-Amz-Credential=AKIAEXAMPLE", "https://h/a.zip"),
        ("https://h/a.zip?token=s3cr3t#image", "https://h/a.zip#image"),
        ("https://h/a.zip;jsessionid=s3cr3t", "https://h/a.zip"),
        ("https://h/a.zip#access_token=s3cr3t", "https://h/a.zip"),
        ("abfs://container@account.net/a.zip", "abfs://container@account.net/a.zip"),
        ("abfs://user:hunter2@account.net/a.zip", "abfs://account.net/a.zip"),
    ],
)
def test_a_url_is_shown_without_user_password_and_query(url, expected):
    assert without_credentials(url) == expected
    assert not any(secret in expected for secret in SECRETS) or url == expected


@pytest.mark.parametrize(
    "said",
    [
        "403, message='Forbidden', url='https://user:hunter2@host/a.zip?token=s3cr3t'",
        "cannot connect to host for https://user:hunter2@host/a.zip?sig=s3cr3t&x=1 [reset]",
        "GET /a.zip?token=s3cr3t HTTP/1.1 failed",
        "InvalidAccessKeyId: the id AKIAEXAMPLE is not known",
        "bad header Authorization: Bearer s3cr3t",
        "{'key': 'AKIAEXAMPLE', 'secret': 's3cr3t'}",
        "login user:hunter2 refused",
        "password s3cr3t/+= (percent: s3cr3t%2F%2B%3D)",
    ],
)
def test_what_others_say_is_cleaned(said):
    url = "https://user:hunter2@host/a.zip?token=s3cr3t&sig=s3cr3t%2F%2B%3D"
    options = {
        "key": "AKIAEXAMPLE",
        "client_kwargs": {"endpoint_url": "https://x:hunter2@h", "more": ["s3cr3t"]},
    }
    clean = without_secrets(said, url, options)
    assert not any(secret in clean for secret in SECRETS), clean
    assert "\n" not in clean and clean


def test_what_is_no_secret_is_left_standing():
    said = "connection to https://host/a.zip timed out after 30 s"
    assert without_secrets(said, "https://user:hunter2@host/a.zip") == said
