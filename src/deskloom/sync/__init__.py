"""The steps between source, record and index: pull, sweep, publish, and the run that orders them."""
