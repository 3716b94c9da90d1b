"""Files that are whole or absent, each written under a temporary name first; how a command tells what is wrong."""

import contextlib
import json
import os
import sys
import time
from pathlib import Path


@contextlib.contextmanager
def whole(path):
    """Yield a temporary path beside `path`, which takes that name when the block ends well and is removed if not."""
    part = Path(f"{path}.part")
    try:
        yield part
        replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def replace(part, path):
    """Let `part` take the name `path`; on Windows again, for about a second, where a virus scanner holds either."""
    for wait in (0.05, 0.1, 0.2, 0.4, None):
        try:
            return os.replace(part, path)
        except PermissionError:
            if os.name != "nt" or wait is None:
                raise
            time.sleep(wait)


def copy(source, path):
    """Copy a file to `path`, at once or not at all."""
    with whole(path) as part:
        part.write_bytes(Path(source).read_bytes())


def write_json(path, content):
    """Write `content` as JSON, at once or not at all."""
    with whole(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_json(path):
    """Return what a file of write_json holds; raises ValueError, in one sentence, for a damaged one."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError(f"{path} is damaged; delete it and run the training again.") from None


def told(error, path):
    """Return an OSError as a sentence: what could not be read or written, why, and what was not touched."""
    return (
        f"{error.filename2 or error.filename or path} could not be read or written ({error.strerror or error}); "
        "make room or choose another folder. What was saved before is untouched."
    )


def finish(work, path, name=""):
    """Do a command's `work` and print the sentence that it returns; return 0, or 1 after one on what went wrong.

    `path` is what the command reads or writes, for the sentence on an OSError; `name` comes before either.
    """
    try:
        print(work())
    except (ValueError, OSError) as error:
        print(name + (told(error, path) if getattr(error, "strerror", None) else str(error)), file=sys.stderr)
        return 1
    return 0


def megabytes(path):
    """Return a path with the size of its file, for a command's last line."""
    return f"{path}: {Path(path).stat().st_size / 1e6:.1f} MB"
