"""`sync`, and what is asked about it afterwards."""

from __future__ import annotations

import re
import signal
import threading

import pytest
from tests.cli.terminal import Terminal, line_with, wait

from deskloom.home import own_home
from deskloom.indexes import open_index
from deskloom.protocols import Schema
from deskloom.sandbox import Desk, Fault
from deskloom.settings import Settings

MANY = pytest.mark.parametrize("desk", [70], indirect=True, ids=["70 tickets"])
UUID = r"[0-9a-f]{8}-[0-9a-f-]{27}"


def held() -> Fault:
    """One of the second fifty tickets never comes: a run is under way for as long as a test needs."""
    return Fault(match=r"GET /api/v2/tickets/\d+/conversations", kind="hang", times=1, skip=55)


def test_sync_search_and_status_tell_the_same_story(terminal: Terminal) -> None:
    """What was synced is counted in the run's end, in the status, in the list of runs, and can be found."""
    synced = terminal.run("sync", "all", "--json")
    assert (synced.status, synced.err) == (0, "")
    tickets, articles, hours = synced.json_lines()
    assert [(run["stream"], run["state"]) for run in (tickets, articles, hours)] == [
        ("tickets", "succeeded"),
        ("kb", "succeeded"),
        ("hours", "succeeded"),
    ]

    status = terminal.run("status", "--json").json()
    live = tickets["counts"]["created"]
    assert (status["total_tickets"], status["total_kb_articles"]) == (live, articles["counts"]["created"])
    assert [stream["items"] for stream in status["streams"]][-1] == hours["counts"]["created"] > 0

    listed = terminal.run("runs", "--json").json()["items"]
    ended = (tickets, articles, hours)
    assert {run["id"]: run["counts"] for run in listed} == {run["id"]: run["counts"] for run in ended}

    hits = terminal.run("search", "VPN drops", "--in", "kb", "--limit", "2", "--json").json()["hits"]
    assert {hit["collection"] for hit in hits} == {"kb_procedures"}
    assert len(hits) == 2


def test_without_a_terminal_there_are_lines_and_no_control_codes(terminal: Terminal) -> None:
    """Cron gets a line per event and a line of counts per run; a second sync finds nothing to do."""
    terminal.run("sync", "kb", "--limit", "2")
    done = terminal.run("sync", "kb", FORCE_COLOR="1", TERM="xterm-256color")
    assert (done.status, done.err) == (0, "")
    assert re.search(r"[\x00-\x09\x0b-\x1f]", done.out) is None
    end = done.out.splitlines()[-1]
    assert re.fullmatch(
        r"freshdesk kb: succeeded\. (\d+) fetched, \1 created, 0 updated, 0 unchanged, 0 deleted, 0 failed; "
        r"\d+ embedded; \d+ API calls; \d+\.\d s",
        end,
    )
    again = terminal.run("sync", "kb").out.splitlines()[-1]
    assert again.startswith(
        "freshdesk kb: succeeded. 0 fetched, 0 created, 0 updated, 0 unchanged, 0 deleted, 0 failed; 0 embedded"
    )


def test_items_that_fail_end_3_and_can_be_retried(terminal: Terminal, desk: Desk) -> None:
    """A ticket whose replies cannot be read is named, ends the run as partial, and is read by `failures retry`."""
    ticket = max(row["id"] for row in desk.tickets)
    desk.faults.add(Fault(match=rf"GET /api/v2/tickets/{ticket}/conversations", kind="403", times=None))
    done = terminal.run("sync", "tickets")
    assert done.status == 3
    assert done.err.splitlines()[0].startswith(f"Failed to process ticket {ticket}: ")
    assert done.err.splitlines()[-1] == "What failed is tried again by later runs. See it: deskloom failures"
    assert f"ticket {ticket}" in terminal.run("failures").out

    desk.faults.clear()
    retried = terminal.run("failures", "retry")
    assert (retried.status, retried.out.splitlines()[0]) == (0, "1 item to try again.")
    assert terminal.run("failures").out == "Nothing has failed.\n"


@pytest.mark.slow
@MANY
def test_a_second_command_works_through_the_first_and_ctrl_c_loses_nothing(terminal: Terminal, desk: Desk) -> None:
    """While a sync runs, others are served by it; the same stream ends 4; Ctrl-C ends 130 and the next sync goes on."""
    desk.faults.add(held())
    first = terminal.start("sync", "tickets")
    line_with(first, "reading tickets; 50 items")

    status = terminal.run("status", "--json").json()
    assert [stream["in_progress"] for stream in status["streams"]] == [True, False, False]
    second = terminal.run("sync", "tickets")
    (run,) = re.findall(UUID, second.err)
    assert (second.status, second.err) == (4, f"Ticket sync already in progress (run {run}).\n")

    stopped = wait(first, signal.SIGINT)
    assert stopped.status == 130
    assert stopped.err == f"Run {run} stopped at a page; the next deskloom sync or serve goes on with it.\n"

    desk.faults.clear()
    again = terminal.run("sync", "tickets", "--json")
    assert again.err == f"Going on with run {run} (freshdesk tickets) that was interrupted.\n"
    (ended,) = again.json_lines()
    assert (again.status, ended["id"], ended["counts"]["fetched"]) == (0, run, len(desk.tickets))


@pytest.mark.slow
@MANY
def test_a_killed_sync_is_taken_up_by_the_one_that_worked_through_it(terminal: Terminal, desk: Desk) -> None:
    """When the process that does the work is killed, a command that waits for its own run goes on with both."""
    desk.faults.add(held())
    desk.faults.add(Fault(match="GET /api/v2/solutions", kind="hang", times=None))
    asked = threading.Event()
    desk.faults.before("GET /api/v2/solutions", asked.set)
    first = terminal.start("sync", "tickets")
    line_with(first, "reading tickets; 50 items")
    second = terminal.start("sync", "kb", "--json")
    assert asked.wait(60)
    assert wait(first, signal.SIGKILL).status == -signal.SIGKILL
    desk.faults.clear()

    ended = wait(second)
    assert ended.status == 0, ended.err
    assert sorted((run["stream"], run["state"]) for run in ended.json_lines()) == [
        ("kb", "succeeded"),
        ("tickets", "succeeded"),
    ]


@pytest.mark.parametrize(
    ("settings", "status", "sentence"),
    [
        ({"FRESHDESK_API_KEY": "wrong"}, 1, 'Freshdesk "127.0.0.1" refused the API key'),
        ({"FRESHDESK_DOMAIN": "127.0.0.1:1"}, 1, 'Freshdesk "127.0.0.1" cannot be reached'),
        ({"FRESHDESK_DOMAIN": "acme.freshservice.com"}, 1, "acme.freshservice.com is a Freshservice account"),
        ({"FRESHDESK_DOMAIN": "acme.example"}, 2, "acme.example is not a Freshdesk address"),
        ({"FRESHDESK_API_KEY": ""}, 2, "FRESHDESK_API_KEY is not set, but its counterpart is."),
        ({"FRESHDESK_API_KEY": "", "FRESHDESK_DOMAIN": ""}, 2, "No helpdesk is configured: FRESHDESK_DOMAIN"),
        ({"DESKLOOM_PORT": "x"}, 2, "DESKLOOM_PORT is wrong"),
        ({"DATABASE_URL": "postgresql://u:s3cret@127.0.0.1:1/x"}, 1, 'Record "x" on 127.0.0.1:1 cannot be reached'),
        ({"DATABASE_URL": "mysql://u:s3cret@h/x"}, 2, 'DATABASE_URL begins with "mysql"'),
        ({"DESKLOOM_HOME": "/proc"}, 1, "/proc is not empty and is not a Deskloom data folder."),
        ({"DESKLOOM_HOME": "/dev/null"}, 1, "/dev/null is a file."),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_cannot_be_done_is_told_in_one_sentence(
    terminal: Terminal, settings: dict[str, str], status: int, sentence: str
) -> None:
    """A wrong setting, account, key, folder or database ends in one line that says which, and never in a trace."""
    done = terminal.run("sync", "kb", "--json", **settings)
    assert (done.status, done.err.count("\n")) == (status, 1), done.err
    assert done.err.startswith(sentence)
    assert "s3cret" not in done.err


async def test_an_index_of_another_model_is_left_alone(terminal: Terminal) -> None:
    """A sync into an index that holds another model's vectors ends 1 with the remedy, and the index stays as it is."""
    home = own_home(terminal.home, "test")
    index = await open_index(Settings(_env_file=None, home=terminal.home))
    schema = Schema(collection="kb_procedures", embedder="another", dimensions=8, vectors=("intent_vec",), words=())
    await index.prepare(schema)
    await index.aclose()
    home.release()
    done = terminal.run("sync", "kb", "--json")
    assert done.status == 1
    assert 'Index "kb_procedures" holds' in done.err.splitlines()[-1]


def test_a_home_that_cannot_be_written_is_named(terminal: Terminal) -> None:
    """Where nothing can be stored, one sentence names the folder."""
    done = terminal.run("sync", "kb", DESKLOOM_HOME="/proc/nowhere")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("The data folder /proc/nowhere cannot be used: ")
