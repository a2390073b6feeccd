"""`schedules` and `source add`, as people and scripts run them."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
from contextlib import closing

import pytest
from tests.cli.terminal import Terminal, line_with, wait

from deskloom.cli.proposals import hourly
from deskloom.sync.schedule import read_rule

PROPOSED = [
    ("*", "verify", "verify", "40 * * * *"),
    ("acme", "hours", "incremental", "45 2 * * *"),
    ("acme", "kb", "incremental", "25 */6 * * *"),
    ("acme", "tickets", "incremental", "*/10 * * * *"),
    ("acme", "tickets", "sweep", "15 3 * * *"),
]


@pytest.fixture
def account(terminal: Terminal) -> tuple[Terminal, str, str]:
    """A terminal without a helpdesk in its environment, and the domain and key of one."""
    return terminal, terminal.settings.pop("FRESHDESK_DOMAIN"), terminal.settings.pop("FRESHDESK_API_KEY")


def scheduled(terminal: Terminal) -> list[tuple[str, str, str, str]]:
    items = terminal.run("schedules", "list", "--json").json()["items"]
    return [(item["source"], item["stream"], item["mode"], item["cron"]) for item in items]


@pytest.mark.slow
def test_a_schedule_is_added_changed_started_and_removed(terminal: Terminal) -> None:
    """Every command says what stands now; where no server runs, it says that nothing is started yet."""
    added = terminal.run("schedules", "add", "kb", "*/10 * * * *", "--timezone", "Europe/Berlin")
    assert (added.status, added.out.startswith('freshdesk kb incremental: "*/10 * * * *" Europe/Berlin, next at ')) == (
        0,
        True,
    )
    assert added.err.startswith("Schedules are started while deskloom serve (or a worker) runs; none is running")
    (item,) = terminal.run("schedules", "list", "--json").json()["items"]
    changed = terminal.run("schedules", "set", item["id"], "--cron", "0 4 * * *", "--disable")
    assert changed.out == f'freshdesk kb incremental: "0 4 * * *" Europe/Berlin, disabled (schedule {item["id"]})\n'
    done = terminal.run("schedules", "run", item["id"], "--json")
    assert (done.status, done.json()["state"], done.json()["requested_by"]) == (0, "succeeded", "cli")
    table = terminal.run("schedules").out.splitlines()
    assert [line.split()[1:4] for line in table[1:]] == [["freshdesk", "kb", "incremental"]]
    twice = terminal.run("schedules", "add", "kb", "0 0 * * *")
    assert (twice.status, "deskloom schedules set" in twice.err) == (1, True)
    assert terminal.run("schedules", "remove", item["id"]).out == "1 schedule removed.\n"
    assert terminal.run("schedules", "remove", item["id"]).status == 1
    assert terminal.run("schedules").out.startswith("Nothing is scheduled.")


def test_a_wrong_schedule_ends_2_with_one_sentence(terminal: Terminal) -> None:
    """What the API refuses is told as it tells it; what needs no asking is told at once."""
    wrong = terminal.run("schedules", "add", "kb", "at noon")
    assert (wrong.status, wrong.out) == (2, "")
    assert wrong.err.startswith("cron is not a cron expression: wrong number of fields.")
    assert terminal.run("schedules", "set", "some-id").err.startswith("Say what to change")
    assert terminal.run("schedules", "add", "kb", "* * * * *", "--jitter", "soon").status == 2


@pytest.mark.slow
def test_a_served_schedule_starts_what_was_missed(terminal: Terminal) -> None:
    """A server that finds a schedule overdue starts its run at once; one that is added meanwhile is not overdue."""
    item = terminal.run("schedules", "add", "kb", "0 4 * * *", "--json").json()
    with closing(sqlite3.connect(terminal.home / "deskloom.db")) as record:
        record.execute("UPDATE schedules SET created_at = ?, next_at = ?", ("2025-01-01T00:00:00.000000Z",) * 2)
        record.commit()
    server = terminal.start("serve", "--port", "0")
    line_with(server, "Deskloom serves")
    added = terminal.run("schedules", "add", "tickets", "0 4 * * *", "--json")
    assert (added.err, added.json()["enabled"]) == ("", True)
    started = None
    while started is None:
        both = terminal.run("schedules", "list", "--json").json()["items"]
        started = both[0]["last_run_id"]
    followed = terminal.run("runs", started)
    assert (followed.status, "freshdesk kb: succeeded." in followed.out) == (0, True)
    assert [(one["stream"], one["last_run_id"]) for one in both] == [("kb", started), ("tickets", None)]
    assert both[0]["id"] == item["id"]
    assert wait(server, signal.SIGTERM).status == 0


def test_a_source_is_added_once_it_is_proved(account: tuple[Terminal, str, str]) -> None:
    """A refused key leaves nothing; a good one is written beside what the file holds, for its owner only."""
    terminal, domain, key = account
    file = terminal.folder / "deskloom.toml"
    file.write_text("# ours\n[theirs.rows]\nname = 'x'  # kept")
    refused = terminal.run("source", "add", "acme", "--domain", domain, "--api-key", "wrong")
    assert (refused.status, "refused the API key" in refused.err) == (1, True)
    assert file.read_text() == "# ours\n[theirs.rows]\nname = 'x'  # kept"
    added = terminal.run("source", "add", "acme", "--domain", domain, "--api-key-env", "ACME_KEY", ACME_KEY=key)
    assert added.status == 0, added.err
    assert file.read_text() == (
        "# ours\n[theirs.rows]\nname = 'x'  # kept\n\n[sources.acme]\n"
        f'kind = "freshdesk"\ndomain = "{domain}"\napi_key_env = "ACME_KEY"\n'
    )
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    assert [line for line in added.out.splitlines() if line.startswith("  deskloom ")] == [
        "  deskloom schedules add tickets '*/10 * * * *' --source acme --jitter 60",
        "  deskloom schedules add kb '25 */6 * * *' --source acme --jitter 300",
        "  deskloom schedules add tickets '15 3 * * *' --source acme --mode sweep --jitter 300",
        "  deskloom schedules add hours '45 2 * * *' --source acme --jitter 300",
        "  deskloom schedules add verify '40 * * * *' --jitter 60",
    ]
    for name, where in (("acme", "other"), ("acme2", domain)):
        again = terminal.run("source", "add", name, "--domain", where, "--api-key", key, ACME_KEY=key)
        assert (again.status, "already" in again.err) == (2, True)
    unset = terminal.run("source", "list")
    assert (unset.status, 'source "acme" takes its key from ACME_KEY, which is not set' in unset.err) == (2, True)
    assert terminal.run("source", "check", ACME_KEY=key).out.startswith("acme: ok; ")


@pytest.mark.slow
def test_the_proposed_schedules_are_taken_with_yes(account: tuple[Terminal, str, str]) -> None:
    """`--yes` makes them; a command that prints them makes the same ones."""
    terminal, domain, key = account
    added = terminal.run("source", "add", "acme", "--domain", domain, "--api-key", key, "--yes", "--json").json()
    assert sorted((s["source"], s["stream"], s["mode"], s["cron"]) for s in added["schedules"]) == PROPOSED
    assert key not in str(added)
    assert scheduled(terminal) == PROPOSED


def test_without_a_key_it_is_said_how_to_give_one(account: tuple[Terminal, str, str]) -> None:
    """Nobody is asked where no terminal is, and nothing is written."""
    terminal, domain, key = account
    none = terminal.run("source", "add", "acme", "--domain", domain)
    assert (none.status, none.err.startswith("An API key is needed: --api-key-env VARIABLE")) == (2, True)
    for name, kind in (("Acme Inc", "freshdesk"), ("acme", "abacus")):
        wrong = terminal.run("source", "add", name, "--domain", domain, "--api-key", key, "--kind", kind)
        assert (wrong.status, len(wrong.err.splitlines())) == (2, 1)
    assert not (terminal.folder / "deskloom.toml").exists()


@pytest.mark.parametrize(
    ("hours", "cron"),
    [
        (0, None),
        (0.01, "*/1 * * * *"),
        (0.25, "*/15 * * * *"),
        (1, "40 * * * *"),
        (6, "40 */6 * * *"),
        (24, "40 4 * * *"),
        (1000, "40 4 * * *"),
    ],
)
def test_the_interval_of_checks_becomes_a_schedule(hours: float, cron: str | None) -> None:
    """SYNC_CONSISTENCY_CHECK_INTERVAL is met as nearly as cron can say, and 0 proposes none."""
    assert hourly(hours) == cron
    if cron:
        read_rule(cron, "UTC")
