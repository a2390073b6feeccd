"""The processes that benchmarks start, measure and kill; not to be run by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def say(answer: Any, file: Path | None) -> None:
    """Answer in a file, whole or not at all, or on standard output."""
    text = json.dumps(answer)
    if file is None:
        print(text, flush=True)
        return
    fresh = file.with_suffix(".new")
    fresh.write_text(text, "utf-8")
    os.replace(fresh, file)
