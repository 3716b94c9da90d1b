"""What the workbook knows of right and wrong, and a reader's four words: `check`, `hint`, `answer`, `progress`."""

import importlib

from helpers import progress as store
from helpers.checks import Question, Verdict
from helpers.style import Table

# The room of each part of the assignment; imported when first asked, so that a NumPy notebook never loads PyTorch.
_ROOMS = {"0": "start", "1": "descent", "2": "gates", "3": "backprop", "4": "convolution", "P1": "mlp", "P2": "cnn"}
_hinted: dict[str, int] = {}


class Said(str):
    """A text that a cell shows without quotation marks."""

    def __repr__(self):
        return str(self)


def _questions(prefix):
    try:
        return importlib.import_module(f"helpers.answers.{_ROOMS[prefix]}").QUESTIONS
    except (KeyError, ModuleNotFoundError):
        return {}


def of_topic(topic: str) -> list[Question]:
    """Return the questions of a topic, such as "descent"; none for a topic without any."""
    return [q for prefix, room in _ROOMS.items() if room == topic for q in _questions(prefix).values()]


def find_all(question: str) -> list[Question]:
    """Return the question of that name, or all that belong to it: "1c" means "1c GD" and "1c momentum".

    Capital and small letters are the same here.

    Raises ValueError where there is none.
    """
    name = str(question).strip()
    questions = _questions(name[:2].upper() if name[:1] in ("P", "p") else name[:1])
    same = name.casefold()
    found = [q for q in questions.values() if q.id.casefold() == same] or [
        q for q in questions.values() if q.id.casefold().startswith(f"{same} ") or name.upper() in _ROOMS
    ]
    if not found:
        known = ", ".join(questions) if questions else "those of 1, 2, 3, 4, P1 and P2, such as 1a"
        raise ValueError(f"there is no question {question!r}; those that exist are {known}")
    return found


def find(question: str) -> Question:
    """Return the one question of that name, such as "1a" or "2 XOR"; raises ValueError where there is none."""
    found = find_all(question)
    if len(found) > 1:
        raise ValueError(f"{question!r} has several parts; check one of {', '.join(q.id for q in found)}")
    return found[0]


def check(question: str, *given) -> Verdict:
    """Return the verdict on `given`, the reader's answer to `question`; a wrong answer never raises.

    The best result of each question is kept for `progress()`.
    """
    verdict = find(question).judge(*given)
    store.record(verdict.question, verdict.earned)
    return verdict


def hint(question: str) -> Said:
    """Return the next hint to `question`; after the last one it begins anew."""
    hints = [h for q in find_all(question) for h in q.hints]
    if not hints:
        return Said(f"There is no hint to {question}; read its section once more.")
    number = _hinted.get(question, 0) % len(hints)
    _hinted[question] = number + 1
    return Said(f"Hint {number + 1} of {len(hints)} to {question}: {hints[number]}")


def answer(question: str) -> Said:
    """Return the worked answer to `question`, with numbers that are computed at this moment."""
    return Said("\n\n".join(f"{q.id}: {q.worked()}" for q in find_all(question)))


_PARTS = {"1": "Theory 1", "2": "Theory 2", "3": "Theory 3", "4": "Theory 4", "P1": "Programming 1",
          "P2": "Programming 2"}  # fmt: skip


def progress() -> Table:
    """Return the points earned so far, part by part, in all notebooks together."""
    parts = {name: _questions(prefix).values() for prefix, name in _PARTS.items()}
    rows = store.rows({name: questions for name, questions in parts.items() if questions})
    return Table(("part", "points", "of", "right", "open"), rows, ("", "g", "g", "", ""))
