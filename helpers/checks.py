"""Compares a reader's answer with what is expected and says in one sentence what it found; knows no answer itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Verdict:
    """What a check found: a status, one sentence, and the points earned of the points possible."""

    question: str
    status: str  # "right", "wrong", "unanswered" or "unreadable"
    sentence: str
    earned: float
    points: float

    def __repr__(self):
        mark = {"right": "\N{CHECK MARK}", "wrong": "\N{BALLOT X}", "unanswered": "\N{HORIZONTAL ELLIPSIS}"}
        sign = mark.get(self.status, "?")
        points = f" ({self.earned:g} of {self.points:g} points)" if self.points else ""
        return f"{sign} {self.question}{points}: {self.sentence}"


@dataclass(frozen=True)
class Slip:
    """A mistake that readers make: what to say about it, and a function that makes it."""

    sentence: str
    make: Callable


@dataclass(frozen=True)
class Question:
    """A question whose answer is one or more numbers or arrays.

    `parts` names what is asked for, in order; `expected()` returns the right values; every slip's `make()` returns the
    values that the mistake produces. `decimals` are the digits asked for: an answer rounded to them is right.
    """

    id: str
    points: float
    parts: Sequence[str]
    expected: Callable
    slips: Sequence[Slip] = ()
    hints: Sequence[str] = ()
    decimals: int = 4
    also: Sequence[Slip] = ()  # further readings of the question that count as right, with a word about each
    answer: str = ""  # how one gets there, in a sentence or two
    shape_told: bool = True  # False where the shape is part of what is asked

    def judge(self, *given) -> Verdict:
        """Return the verdict on the reader's values; never raises on what a reader can type."""
        if _unanswered(given):
            return self._unanswered()
        if len(given) != len(self.parts):
            asked = f"{_count(len(self.parts))} asked for ({', '.join(self.parts)}), {len(given)} given."
            return self._verdict("unreadable", asked)
        values, expected = [], _arrays(self.expected())
        for name, value, right in zip(self.parts, given, expected, strict=True):
            array, trouble = read_number(value)
            if trouble:
                return self._verdict("unreadable", f"{name} {trouble}")
            values.append(array.reshape(()) if array.size == 1 and right.shape == () else array)
        # An answer rounded to the digits asked for is right. One with more digits than that may still betray a slip
        # whose effect is small, so the digits that the reader gave decide between the expected values and the slips.
        finest = self._finest(values)
        readings = [("right.", expected), *((f"right. {a.sentence}", _arrays(a.make())) for a in self.also)]
        exact = [sentence for sentence, reading in readings if _fits(values, reading, finest)]
        if exact:
            return self._verdict("right", exact[0], self.points)
        roughly = any(_fits(values, reading, self._tolerance(self.decimals)) for _, reading in readings)
        made = [(slip.sentence, _arrays(slip.make())) for slip in self.slips]
        if roughly:
            betrayed = [sentence for sentence, slip in made if _fits(values, slip, finest)]
            if betrayed:
                return self._verdict("wrong", " Or: ".join(dict.fromkeys(betrayed)))
            fine = [max(t, self._tolerance(self.decimals + 2)) for t in finest]  # single precision reaches that far
            if any(_fits(values, reading, fine) for _, reading in readings):
                return self._verdict("right", "right.", self.points)
            if min(map(_decimals_of, ([value] for value in values))) > self.decimals + 2:
                betrayed = [sentence for sentence, slip in made if _fits(values, slip, fine)]
                if betrayed:
                    return self._verdict("wrong", " Or: ".join(dict.fromkeys(betrayed)))
            said = f"right to {self.decimals} decimals, which will do; the digits after them are not."
            return self._verdict("right", said, self.points)
        return self._explain(values, expected, made)

    def worked(self) -> str:
        """Return the worked answer: how one gets there, then the expected values, computed now."""
        values = [f"{name} = {_shown(v, self.decimals)}" for name, v in zip(self.parts, self.expected(), strict=True)]
        return "\n".join([self.answer, *values] if self.answer else values)

    def _explain(self, values, expected, made):
        near = self._tolerance(self.decimals)
        right = [_near(v, e, near) for v, e in zip(values, expected, strict=True)]
        # The slip that explains every part comes first; failing that, one that explains all that is not right, so that
        # a slip made half-way is recognised too.
        whole = [sentence for sentence, slip in made if _fits(values, slip, self._finest(values))]
        whole = whole or [sentence for sentence, slip in made if _fits(values, slip, near)]
        begun = right.index(False) if False in right else len(right)  # a slip made half-way begins at what is wrong
        partly = [
            sentence
            for sentence, slip in made
            if all(r or _near(v, m, near) for v, m, r in zip(values, slip, right, strict=True))
            and _fits(slip[:begun], expected[:begun], near)
        ]
        if whole or partly:
            return self._verdict("wrong", " Or: ".join(dict.fromkeys(whole or partly)))
        for name, value, asked in zip(self.parts, values, expected, strict=True):
            if value.shape != asked.shape and (self.shape_told or value.ndim != asked.ndim):
                array = f"an array of shape {asked.shape}" if self.shape_told else "a list of rows"
                was = "is one number" if value.shape == () else f"has shape {value.shape}"
                wanted = "one number" if asked.shape == () else array
                return self._verdict("unreadable", f"{name} {was}; {wanted} is asked for.")
        if all(_near(v, e, self._coarse(v)) for v, e in zip(values, expected, strict=True)):
            said = f"close, but not right to {self.decimals} decimals: carry more digits along, and round at the end "
            return self._verdict("wrong", said + "or not at all.")
        wrong = [name for name, r in zip(self.parts, right, strict=True) if not r]
        good = [name for name, r in zip(self.parts, right, strict=True) if r]
        sentence = f"{_join(wrong)} {'is' if len(wrong) == 1 else 'are'} not right"
        if good:
            sentence += f", {_join(good)} {'is' if len(good) == 1 else 'are'}"
        return self._verdict("wrong", sentence + f'; hint("{self.id}") helps.')

    def _finest(self, values):
        """Return for each value what may be rounding, given the decimals it has."""
        return [self._tolerance(max(self.decimals, _decimals_of([value]))) for value in values]

    def _coarse(self, value):
        """Return what a value may be off to be called close: its own rounding, or that of a few steps."""
        digits = min(_decimals_of([value]), self.decimals)
        return max(self._tolerance(digits) if digits else 0.0, 4 * self._tolerance(self.decimals))

    @staticmethod
    def _tolerance(decimals):
        # Half a unit of the last digit, and a little for the rounding of the reader's own steps.
        return 0.6 * 10.0**-decimals

    def _unanswered(self):
        return self._verdict("unanswered", f'not answered yet; hint("{self.id}") helps.')

    def _verdict(self, status, sentence, earned=0.0):
        return Verdict(self.id, status, sentence, earned, self.points)


@dataclass(frozen=True)
class BandQuestion(Question):
    """A question answered by a rate, whose points are those of the band that it lies in.

    A slip's `make(rate)` says whether it explains the rate. A kind of rate implements `_band(rate, source)`, which
    calls `_graded` with its sentence.
    """

    def _judge_rate(self, given, name, example):
        array, trouble = read_number(given)
        if trouble or array.size != 1:
            return self._verdict("unreadable", f"the {name} {trouble or f'is one number, such as {example}.'}")
        rate = float(array.reshape(()))
        for slip in self.slips:
            if slip.make(rate):
                return self._verdict("wrong", slip.sentence)
        return self._band(rate, "your number; only the network itself is graded")

    def _band(self, rate, source):
        raise NotImplementedError

    def _graded(self, said, earned, onward):
        extra = f", {earned - self.points:g} of them extra" if earned > self.points else ""
        status = "right" if earned >= self.points else "wrong"
        return self._verdict(status, f"{said} earns {earned} points{extra}.{onward}", earned)


@dataclass(frozen=True)
class FunctionQuestion(Question):
    """A question answered by a function, judged by what it returns on inputs it has not seen.

    `cases()` returns a list of argument tuples; `expected(*arguments)` and every slip's `make(*arguments)` return the
    array for one of them. `parts` holds one name: that of the function.
    """

    cases: Callable = list
    tolerance: float = 2e-6  # float32 will do

    def judge(self, *given) -> Verdict:
        """Return the verdict on the reader's function; never raises on what a reader can type."""
        if _unanswered(given):
            return self._unanswered()
        if len(given) != 1 or not callable(given[0]):
            was = f"{_kind(given[0])} was" if len(given) == 1 else f"{len(given)} things were"
            return self._verdict("unreadable", f"give one function, {self.parts[0]}; {was} given.")
        returned, cases = [], self.cases()
        for arguments in cases:
            right = np.asarray(self.expected(*arguments), dtype=float)
            try:
                value = given[0](*(np.array(a, copy=True) for a in arguments))
            except (Exception, SystemExit) as error:
                shapes = ", ".join(str(np.shape(a)) for a in arguments)
                return self._verdict(
                    "wrong",
                    f"your function raised {type(error).__name__} ({error}) on inputs of shapes {shapes}.",
                )
            if value is ...:
                return self._unanswered()
            if value is None:
                return self._verdict("unreadable", "your function returned nothing; end it with return.")
            array, trouble = read_number(value)
            if trouble:
                return self._verdict("unreadable", f"what your function returned {trouble}")
            returned.append((arguments, right, array))
        if all(self._same(value, right) for _, right, value in returned):
            return self._verdict("right", "right.", self.points)
        for slip in self.slips:
            if all(self._same(value, _attempt(slip.make, arguments)) for arguments, _, value in returned):
                return self._verdict("wrong", slip.sentence)
        for _, right, value in returned:
            if value.shape != right.shape:
                return self._verdict("wrong", f"the shape should be {right.shape}, yours is {value.shape}.")
        return self._verdict("wrong", f'the shape is right, the values are not; hint("{self.id}") helps.')

    def worked(self) -> str:
        """Return the worked answer, which for a function is its text alone."""
        return self.answer

    def _same(self, value, right):
        if right is None or value.shape != np.shape(right):
            return False
        scale = max(1.0, float(np.max(np.abs(right), initial=0.0)))
        return bool(np.all(np.abs(value - right) <= self.tolerance * scale))


def _attempt(make, arguments):
    try:
        return np.asarray(make(*arguments), dtype=float)
    except Exception:  # a slip such as a missing transpose need not fit every shape
        return None


def read_number(value):
    """Return `value` as a float array and an empty string, or None and the rest of a sentence that says what is wrong.

    Lists, NumPy arrays and PyTorch tensors are read alike.
    """
    try:
        return _read(value)
    except Exception:  # an object may do anything when it is looked at
        return None, f"is {_kind(value)} that cannot be read; a number or an array of numbers is asked for."


def _read(value):
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, str):
        kind = "True or False" if value.strip().lower() in ("true", "false", "yes", "no") else "a number"
        return None, f"is a text, {value!r}; type {kind} without quotes."
    if value is None:
        return None, "is None; give a number, and where a function gave it, look for its return."
    if callable(value):
        return None, "is a function; call it, and give the number that it returns."
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):
        return None, "has rows of different lengths; give every row the same number of entries."
    if array.dtype == object and any(entry is ... for entry in array.flat):
        return None, "still holds a `...`; put a number in its place."
    if array.dtype == object and any(entry is None for entry in array.flat):
        return None, "holds None; a function may have forgotten its return."
    if np.iscomplexobj(array):
        return None, "is a complex number; a real one is asked for."
    try:
        array = array.astype(float)
    except OverflowError:
        return None, "is too large for a floating-point number."
    except (ValueError, TypeError):
        return None, f"is {_kind(value)}; a number or an array of numbers is asked for."
    if not np.all(np.isfinite(array)):
        return None, "holds NaN or infinity; look for a division by zero or an overflow."
    return array, ""


def _arrays(values):
    return [np.asarray(value, dtype=float) for value in values]


def _near(value, right, tolerance):
    return value.shape == right.shape and bool(np.all(np.abs(value - right) <= tolerance))


def _fits(values, reading, tolerance):
    tolerances = tolerance if isinstance(tolerance, list) else [tolerance] * len(values)
    return all(_near(v, r, t) for v, r, t in zip(values, reading, tolerances, strict=True))


def _decimals_of(values, most=10):
    """Return how many decimals the reader gave, at most `most`."""
    flat = np.concatenate([np.ravel(v) for v in values])
    for decimals in range(most):
        if np.all(np.abs(flat - np.round(flat, decimals)) < 1e-12):
            return decimals
    return most


def _shown(value, decimals):
    if isinstance(value, bool) or np.asarray(value).dtype == bool:
        return str(bool(value))
    array = np.round(np.asarray(value, dtype=float), decimals + 2) + 0.0  # + 0.0 turns a rounded -0 into 0
    if array.shape == ():
        return f"{array:.{decimals + 2}f}".rstrip("0").rstrip(".")
    return ("\n" if array.ndim > 1 else "") + str(array.astype(int) if np.all(array == np.round(array)) else array)


def _unanswered(given):
    return not given or any(value is ... for value in given)


def _kind(value):
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _count(n):
    return "one value is" if n == 1 else f"{n} values are"


def _join(names):
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
