"""`python -m deskloom`: the same program as `deskloom`."""

import sys

from deskloom.cli import main

if __name__ == "__main__":
    sys.exit(main())
