"""``python -m gaitkeeper``: the console command."""

from __future__ import annotations

from gaitkeeper.service.cli import main

if __name__ == "__main__":
    main()
