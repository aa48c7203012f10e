"""Files that somebody names on the command line."""

from __future__ import annotations

from pathlib import Path

from schemas.errors import Misconfigured


def text_of(file: Path, what: str) -> str:
    """Return the text of a file, without the mark that editors on Windows begin one with.

    Args:
        file: Where it is.
        what: What a person calls it, for the message.

    Raises:
        Misconfigured: It cannot be read, or is no text in UTF-8.
    """
    try:
        return file.read_text("utf-8-sig")
    except OSError as exc:
        raise Misconfigured(f"cannot read {what}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise Misconfigured(f"{what} is no text in UTF-8") from exc
