"""`prober`, and `python -m prober`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command; one line when only the reader's parts are installed."""
    try:
        _run()
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        # Nobody reads our output any more, or its disk is full.
        sys.stderr.write(f"prober: {error.strerror or error}\n")
        sys.exit(1)


def _run() -> None:
    try:
        from prober.cli.app import app
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(("prober", "switch")):
            raise
        sys.stderr.write(
            f"prober: {error.name} is missing; install the daemon: "
            'pip install "prober-llm[daemon]"\n'
        )
        sys.exit(2)
    app()


if __name__ == "__main__":
    main()
