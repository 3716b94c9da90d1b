"""Files that are whole or absent: each is written under a temporary name first; a damaged one is told in a sentence."""

import contextlib
import json
import os
from pathlib import Path


@contextlib.contextmanager
def whole(path):
    """Yield a temporary path beside `path`, which takes that name when the block ends well and is removed if not."""
    part = Path(f"{path}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


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
