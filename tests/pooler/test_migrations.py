"""The record's tests of migrations, behind the pooler."""

from tests.record.test_migrations import *  # noqa: F403
