"""The log holds no secret and no body, whoever logs it."""

from __future__ import annotations

import json
import subprocess
import sys

from deskloom.logs import HIDDEN, redact

PROGRAM = """
import logging, structlog
from deskloom.logs import set_up_logs
set_up_logs(verbose=True)
log = structlog.get_logger("deskloom.test")
log.info("run started", run="r1", count=3)
log.warning("asked", headers={"Authorization": "Basic abcdefgh"}, url="https://me:pw@host/x?token=abc&page=2")
logging.getLogger("some.library").warning("called with api_key=abcdef1234 for %s", "x")
logging.getLogger("some.library").info("chatter")
try:
    raise ValueError("cannot reach postgresql://me:s3cret@host/db")
except ValueError:
    log.exception("failed")
"""


def test_events_are_json_lines_without_secrets() -> None:
    """Ours and the libraries' events come in one form on standard error, each on a line, with secrets hidden."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(event["event"], event["level"], event["logger"]) for event in events] == [
        ("run started", "info", "deskloom.test"),
        ("asked", "warning", "deskloom.test"),
        (f"called with api_key={HIDDEN} for x", "warning", "some.library"),
        ("failed", "error", "deskloom.test"),
    ]
    assert (events[0]["run"], events[0]["count"]) == ("r1", 3)
    assert (events[1]["headers"], events[1]["url"]) == (
        {"Authorization": HIDDEN},
        f"https://{HIDDEN}@host/x?token={HIDDEN}&page=2",
    )
    assert "ValueError" in events[3]["exception"]
    assert "s3cret" not in done.stderr


def test_bodies_are_not_logged() -> None:
    """What carries text of customers is hidden by its name, and anything long is cut."""
    event = {
        "event": "stored",
        "subject": "Help",
        "body_html": "<p>hi</p>",
        "rows": [{"description": "x"}],
        "note": "y" * 3000,
    }
    assert redact(None, "info", event) == {
        "event": "stored",
        "subject": HIDDEN,
        "body_html": HIDDEN,
        "rows": [{"description": HIDDEN}],
        "note": "y" * 2000 + "… (3000 characters)",
    }
