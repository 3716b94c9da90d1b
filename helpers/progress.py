"""Keeps the best result of every question in a small file beside the notebooks, for the reader alone.

The file is `notebooks/.progress.json`, or the one that the environment variable WORKBOOK_PROGRESS names; if that is set
and empty, nothing is kept. It is a convenience and never a proof: grading runs the notebooks and does not look at it. A
file that is broken, locked or read-only costs the memory of a result, never the answer of a check.
"""

import contextlib
import functools
import json
import math
import os
from pathlib import Path

from filelock import FileLock, Timeout

from helpers import files

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
PATIENCE = 2.0  # seconds to wait for another notebook that is writing


def path():
    """Return where progress is kept, or None where it is not."""
    named = os.environ.get("WORKBOOK_PROGRESS")
    if named is not None:
        return Path(named) if named else None
    return NOTEBOOKS / ".progress.json" if NOTEBOOKS.is_dir() else None


def read():
    """Return the points earned so far, by question; what cannot be read counts as nothing."""
    try:
        kept = json.loads(path().read_text(encoding="utf-8"))
        return {str(question): float(earned) for question, earned in kept.items() if math.isfinite(earned)}
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}


def record(question, earned):
    """Keep the points `earned` for `question` if they are more than before."""
    if path() is None or earned <= read().get(question, 0):
        return
    file = path()
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        with FileLock(f"{file}.lock", timeout=PATIENCE):
            kept = read()  # anew, for another notebook may have written meanwhile
            kept[question] = max(earned, kept.get(question, 0))
            part.write_text(json.dumps(dict(sorted(kept.items())), indent=1), encoding="utf-8")
            files.replace(part, file)
    except (OSError, Timeout, NotImplementedError):
        with contextlib.suppress(OSError):
            part.unlink()


def rows(parts):
    """Return one row for each of `parts`, {name: questions}, and the total: name, earned, possible, right, open."""
    kept, table = read(), []
    for name, questions in parts.items():
        asked = [q for q in questions if q.points]
        earned = {q.id: kept.get(q.id, 0) for q in asked}
        right = [q.id for q in asked if earned[q.id] >= q.points]
        todo = [_todo(q, earned[q.id]) for q in asked if q.id not in right]
        possible = sum(q.points for q in asked)
        table.append((name, sum(earned.values()), possible, ", ".join(right), ", ".join(todo)))
    table.append(("all", sum(row[1] for row in table), sum(row[2] for row in table), "", ""))
    return table


def _todo(question, earned):
    return f"{question.id} ({earned:g} of {question.points:g})" if earned else question.id


def opens(make, questions):
    """Return `make` behind a door that opens when all of `questions`, {name: points}, are answered rightly.

    The student edition uses it for explorers that would show the numbers asked for.
    """

    @functools.wraps(make)
    def door(*arguments, **settings):
        kept = read()
        todo = [name for name, points in questions.items() if kept.get(name, 0) < points]
        if todo:
            return Closed(f"This opens when {', '.join(todo)} {'is' if len(todo) == 1 else 'are'} answered rightly.")
        return make(*arguments, **settings)

    return door


class Closed(str):
    """A sentence in the place of an explorer, shown without quotation marks."""

    def __repr__(self):
        return str(self)
