"""The record's tests of runs, behind the pooler."""

from tests.record.test_runs import *  # noqa: F403
