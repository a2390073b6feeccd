"""The revisions of the record's tables. `python -m deskloom.record.migrations "add links"` writes the next one."""
