"""A small, faithful Freshdesk: its state, its rules and its API."""
