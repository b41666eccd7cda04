"""Messages of the library on standard error: the message alone, above any progress bar."""

from __future__ import annotations

import logging

LOGGER = "donna_hw"


class _ProgressHandler(logging.Handler):
    """Prints each message where the progress bars are, and never fails for it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        from donna_hw._core.progress import print_line

        print_line(self.format(record))


def configure_logging() -> None:
    """Print messages of level INFO and above; calling it again changes nothing."""
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(handler, _ProgressHandler) for handler in logger.handlers):
        logger.addHandler(_ProgressHandler())
    logger.setLevel(logging.INFO)
