"""The record's tests of bookkeeping, behind the pooler."""

from tests.record.test_bookkeeping import *  # noqa: F403
