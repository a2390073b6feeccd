"""`deskloom sandbox` as each product."""

from __future__ import annotations

import re
import signal

import httpx
from tests.cli.terminal import Terminal, line_with, wait


def test_the_sandbox_may_be_an_msps_freshservice(terminal: Terminal) -> None:
    """The line it prints names the product's settings, and its workspaces are clients."""
    options = ("--product", "freshservice", "--msp", "--plan", "starter", "--port", "0", "--tickets", "5")
    sandbox = terminal.start("sandbox", *options)
    line = line_with(sandbox, "deskloom sync all")
    assert line.startswith("FRESHSERVICE_DOMAIN=http://127.0.0.1:")
    domain, key = re.findall(r"=(\S+)", line)
    answer = httpx.get(f"{domain}/api/v2/workspaces", auth=(key, "X"))
    assert {row["type"] for row in answer.json()["workspaces"]} == {"client"}
    assert answer.headers["x-ratelimit-total"] == "100"
    assert wait(sandbox, signal.SIGTERM).status == 0


def test_what_the_sandbox_cannot_be(terminal: Terminal) -> None:
    """A product, a plan or a mode there is not is told in a sentence, with the ones there are."""
    wrong = (("--product", "zendesk"), ("--plan", "starter"), ("--msp",))
    done = [terminal.run("sandbox", "--port", "0", *options) for options in wrong]
    assert [run.status for run in done] == [2, 2, 2]
    for run, words in zip(done, ("freshdesk, freshservice", "none, trial, growth", "Only Freshservice"), strict=True):
        assert words in run.err
