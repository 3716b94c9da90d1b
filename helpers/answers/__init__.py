"""What the workbook knows of right and wrong answers, and the two words a reader needs: `check` and `hint`."""

import importlib

from helpers.checks import Question, Verdict

# The room of each part of the assignment; imported when first asked, so that a NumPy notebook never loads PyTorch.
_ROOMS = {"0": "start", "1": "descent", "2": "gates", "3": "backprop", "4": "convolution", "P1": "mlp", "P2": "cnn"}
_hinted: dict[str, int] = {}


class Hint(str):
    """A sentence that a cell shows without quotation marks."""

    def __repr__(self):
        return str(self)


def find(question: str) -> Question:
    """Return the question of that name, such as "1a" or "2 XOR"; raises ValueError where there is none."""
    name = str(question).strip()
    prefix = name[:2] if name[:1] == "P" else name[:1]
    try:
        questions = importlib.import_module(f"helpers.answers.{_ROOMS[prefix]}").QUESTIONS
    except (KeyError, ModuleNotFoundError):
        questions = {}
    if name not in questions:
        known = ", ".join(questions) if questions else "those of 1, 2, 3 and 4, such as 1a"
        raise ValueError(f"there is no question {question!r}; there are {known}")
    return questions[name]


def check(question: str, *given) -> Verdict:
    """Return the verdict on `given`, the reader's answer to `question`; a wrong answer never raises."""
    return find(question).judge(*given)


def hint(question: str) -> Hint:
    """Return the next hint to `question`; after the last one it begins anew."""
    hints = find(question).hints
    if not hints:
        return Hint(f"There is no hint to {question}; read its section once more.")
    number = _hinted.get(question, 0) % len(hints)
    _hinted[question] = number + 1
    return Hint(f"Hint {number + 1} of {len(hints)} to {question}: {hints[number]}")
