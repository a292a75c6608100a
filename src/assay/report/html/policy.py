"""What may a page do? Run its own two inline texts, show pictures that are inside it, and nothing else."""

from __future__ import annotations

import base64
import hashlib


def content_policy(style: str, script: str) -> str:
    """A Content-Security-Policy that lets through the given style and script by their hash, and `data:` images."""
    return (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
