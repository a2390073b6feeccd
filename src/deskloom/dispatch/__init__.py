"""Ways to run runs: in this process, or by many workers."""
