"""What the record is handed on as: one module for each form. Nothing here writes SQL or knows HTTP."""
