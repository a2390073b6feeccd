"""Writes the OpenAPI document to `docs/reference/openapi.json`: `python -m deskloom.api.reference [FILE]`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from deskloom.api import create_routes

DEFAULT = Path("docs/reference/openapi.json")


def reference() -> str:
    """The document as text, the same on every machine."""
    return json.dumps(create_routes().openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(reference(), encoding="utf-8")
