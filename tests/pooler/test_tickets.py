"""The record's tests of tickets, behind the pooler."""

from tests.record.test_tickets import *  # noqa: F403
