"""The record's tests of documents, behind the pooler."""

from tests.record.test_documents import *  # noqa: F403
