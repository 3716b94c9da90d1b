"""The one mechanism behind every explorer: controls, their state, a redraw, a picture and a sentence.

The page's half is `explorer.js`: it shows native controls and sends what the reader chose; this half draws and answers
with one message that holds picture, sentence and state, so that they always agree.
"""

import base64
import math
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from helpers import pixels, style

# Jupyter's server holds back what does not fill a packet until the page's computer has acknowledged the packet before,
# which is the kernel's word "busy", and computers take up to 40 ms over an acknowledgement. Within one computer a
# packet holds 64 KB, so an answer of that size travels at once.
_PACKET = 1 << 16


class Control(traitlets.HasTraits):
    """One thing that the reader can choose, with a `label` and a `value`; `observe(f, "value")` tells of changes."""

    kind = ""
    value = traitlets.Any()

    def __init__(self, label, value, **facts):
        self.label = label
        super().__init__(**facts)
        self.value = value

    @traitlets.validate("value")
    def _checked(self, proposal):
        return self.accept(proposal["value"])

    def accept(self, value):
        """Return `value` as this control holds it; raises ValueError for one that it cannot hold."""
        return value

    def stops(self):
        """Return the values that the reader can reach one after the other, [] for free text."""
        return []

    def facts(self):
        """Return what the page must know to show this control."""
        return {"kind": self.kind, "label": self.label}

    def shown(self):
        """Return the value as the page holds it."""
        return self.value

    def take(self, shown):
        """Set the value from what the page sent."""
        self.value = shown


class _Slider(Control):
    kind = "slider"
    min, max, step = traitlets.Any(), traitlets.Any(), traitlets.Any()
    number: Any = float

    def accept(self, value):
        if isinstance(value, str) or not math.isfinite(value):
            raise ValueError(f"{self.label} is {value!r}; give a number from {self.min:g} to {self.max:g}")
        return self.number(min(self.max, max(self.min, value)))

    @traitlets.observe("min", "max")
    def _range_changed(self, _):
        if self.value is not None:
            self.value = self.value  # moves into the new range

    def stops(self):
        count = round((self.max - self.min) / self.step)
        return [self.number(round(self.min + i * self.step, 10)) for i in range(count + 1)]

    def facts(self):
        digits = len(f"{self.step:.10f}".rstrip("0").split(".")[1])
        return super().facts() | {"min": self.min, "max": self.max, "step": self.step, "digits": digits}


class _Whole(_Slider):
    number = round


class _Choice(Control):
    kind = "choice"

    def __init__(self, label, options, value=None):
        pairs = [option if isinstance(option, tuple) else (str(option), option) for option in options]
        self.names, self.values = zip(*pairs, strict=True)
        super().__init__(label, self.values[0] if value is None else value)

    def accept(self, value):
        if value not in self.values:
            raise ValueError(f"{self.label} is {value!r}; choose one of {', '.join(map(repr, self.values))}")
        return self.values[self.values.index(value)]

    def stops(self):
        return list(self.values)

    def facts(self):
        return super().facts() | {"options": self.names}

    def shown(self):
        return self.values.index(self.value)

    def take(self, shown):
        self.value = self.values[shown]


class _Pick(_Choice):
    kind = "pick"


class _Switch(Control):
    kind = "switch"

    def accept(self, value):
        return bool(value)

    def stops(self):
        return [False, True]


class _Text(Control):
    kind = "text"

    def __init__(self, label, value, rows):
        self.rows = rows
        super().__init__(label, value)

    def accept(self, value):
        if not isinstance(value, str):
            raise ValueError(f"{self.label} is {value!r}; give text in quotation marks")
        return value

    def facts(self):
        return super().facts() | {"rows": self.rows}


class _File(_Text):
    kind = "file"

    def __init__(self, label, value, read, formats):
        self.read, self.formats = read, formats
        super().__init__(label, value, rows=0)
        self.first = self.value

    def facts(self):
        return super().facts() | {"formats": self.formats}

    def shown(self):
        return {"name": self.value.partition(",")[0]}  # what was uploaded is long; the page has seen it

    def take(self, shown):
        self.value = self.read(shown["name"], base64.b64decode(shown["data"])) if "data" in shown else self.first


class _Pad(_Text):
    kind = "pad"

    def stops(self):
        """Return what the pad held while its present drawing was made, point by point."""
        parts = self.value.split(" ") if self.value else []
        return [" ".join(parts[:count]) for count in range(len(parts) + 1)]


def slider(label, value, low, high, step):
    """Return a slider over the real numbers low, low + step, ..., high; values beyond move to the nearest end.

    A number typed beside it may lie between the steps.
    """
    return _Slider(label, value, min=low, max=high, step=step)


def whole(label, value, low, high):
    """Return a slider over the whole numbers low, ..., high; values beyond move to the nearest end."""
    return _Whole(label, value, min=low, max=high, step=1)


def pick(label, options, value):
    """Return a slider over a few listed values, such as powers of ten."""
    return _Pick(label, options, value)


def choice(label, options, value=None):
    """Return a drop-down list; `options` are values, or pairs (what the reader sees, value)."""
    return _Choice(label, options, value)


def switch(label, value=False):
    """Return a labelled check box."""
    return _Switch(label, value)


def text(label, value, rows=1):
    """Return a field for typed text; its value arrives when the reader leaves it or, in one row, presses Enter."""
    return _Text(label, value, rows)


def upload(label, value, read, formats):
    """Return a button to choose a file of one's own; `read(name, content)` turns it into the text that is the value.

    That text begins with the file's name and a comma, which is what the page shows of it, and `read` raises ValueError
    for a file that it cannot use. `formats` are the media types that the page offers, separated by commas.
    """
    return _File(label, value, read, formats)


def pad(label, value=""):
    """Return a pad to draw on; its value is text: strokes separated by ";", of points "x,y" from 0,0 to 99,99."""
    return _Pad(label, value, rows=0)


class _Page(anywidget.AnyWidget):
    """What the page shares with the kernel."""

    _esm = Path(__file__).with_suffix(".js")
    _css = Path(__file__).with_suffix(".css")
    form = traitlets.Dict().tag(sync=True)  # what does not change: controls, their rows, the stepping slider
    # The first frame: values, sentence, code, picture (see Explorer.frame). Later ones go as messages, for a view that
    # opens afterwards, perhaps without a kernel, can begin with a whole picture only.
    frame = traitlets.Dict().tag(sync=True)


class Explorer:
    """A picture that answers its controls: live in a kernel, a captioned picture everywhere else.

    `scene` draws (see `helpers.figures.scene.Scene`); `controls` maps the names of its state to controls; `call` is the
    expression that makes this explorer, from which the line "as code" is built. `steps` names the whole-number slider
    that Previous, Next and Play move, `pause` seconds apart. `rows` groups control names side by side; by default two
    in a row. With `drag` a sentence, such as "Drag the start", the picture itself can be dragged: `scene.pointed(x, y)`
    says what changes. `pixels` holds the picture, RGBA (height, width, 4), `sentence` what describes it, and `problem`
    what kept the present state from being drawn.
    Setting `Explorer.raise_errors = True` lets a redraw's exception propagate, for tests.
    """

    raise_errors = False

    def __init__(self, scene, controls, call, steps=None, rows=None, drag="", pause=0.7):
        self.scene, self.controls, self.call, self.steps = scene, dict(controls), call, steps
        self.initial = self.state
        self.sentence, self.problem = "", ""
        self.frame: dict[str, Any] = {}
        self._held, self._asked, self._sent = False, {}, None
        names = list(self.controls)
        self._page = _Page(
            form={
                "rows": rows or [names[i : i + 2] for i in range(0, len(names), 2)],
                "controls": {name: c.facts() | {"initial": c.shown()} for name, c in self.controls.items()},
                "steps": steps, "pause": pause, "drag": drag, "size": scene.size,
            }
        )  # fmt: skip
        self._page.on_msg(self._answer)
        for control in self.controls.values():
            control.observe(self._changed, "value")
        self.redraw()
        self._page.frame = self.frame

    @property
    def state(self):
        """The present values of the controls, by name."""
        return {name: control.value for name, control in self.controls.items()}

    @property
    def as_code(self):
        """One call that makes this explorer in its present state."""
        values = ", ".join(f"{name}={value!r}" for name, value in self.state.items())
        return f"{self.call}({values})"

    def set(self, **values):
        """Set several controls at once and draw once; raises KeyError for a control that does not exist."""
        self._held = True
        try:
            for name, value in values.items():
                self.controls[name].value = value
        finally:
            self._held = False
        self._changed()

    def reset(self):
        """Return every control to where it began."""
        self.set(**self.initial)

    def redraw(self):
        """Draw the present state and show it; raises whatever the scene raises."""
        self.pixels, sentence = self.scene.draw(**self.state)
        self.sentence, self.problem = style.with_minus_signs(sentence), ""
        self._show()

    @property
    def picture(self):
        """The picture as PNG bytes."""
        return pixels.png(self.pixels)

    def _show(self):
        """Send the page, in one message, all that it shows of the present state; keep it as `frame`.

        Its picture is a data URL: of the whole, or, painted over that of the frame numbered `over`, of the blocks that
        have changed, with their numbers. `answers` names the view whose request this answers.
        """
        last = self.frame.get("number", 0)
        over = last if self._asked.get("have") == last else 0  # else the page that asked shows something older
        if over:
            sheet, numbers = pixels.changes(self._sent, self.pixels)
        else:
            sheet, numbers = self.pixels, []
        self._sent = self.pixels
        picture = "" if sheet is None else "data:image/png;base64," + base64.b64encode(pixels.png(sheet)).decode()
        self.frame = {
            "number": last + 1, "answers": self._asked.get("view", ""),
            "values": {name: control.shown() for name, control in self.controls.items()},
            "ends": {name: (c.min, c.max) for name, c in self.controls.items() if isinstance(c, _Slider)},
            "sentence": self.sentence, "problem": self.problem, "code": self.as_code,
            "picture": picture, "over": over, "block": (pixels.WIDE, pixels.HIGH),
            "numbers": " ".join(map(str, numbers)),  # a long list would be searched for binary data, one by one
            "filler": " " * (_PACKET - len(picture)),
        }  # fmt: skip
        self._page.send(self.frame)

    def _changed(self, change=None):
        if not self._held:
            self._attempt(self.redraw)

    def _answer(self, _, asked, __):
        """Do what the page asked for, and answer even if nothing came of it: the page waits."""

        def act():
            self._held = True
            try:
                for name, shown in asked["values"].items():
                    self.controls[name].take(shown)
                if asked.get("pointer"):
                    for name, value in self.scene.pointed(*asked["pointer"]).items():
                        self.controls[name].value = value
            finally:
                self._held = False
            self.redraw()

        self._asked = asked
        try:
            self._attempt(act)
        finally:
            self._asked = {}

    def _attempt(self, act):
        try:
            act()
        except Exception as error:  # an exception in a callback would vanish without a word in JupyterLab
            if self.raise_errors:
                raise
            self.problem = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            self._show()

    def __repr__(self):
        return self.sentence

    def _repr_mimebundle_(self, include=None, exclude=None):
        # Three renderings of one thing: a live widget, a picture for readers without a kernel, a sentence for tests.
        data, metadata = self._page._repr_mimebundle_() or ({}, {})
        data["image/png"] = base64.b64encode(self.scene.still(self.sentence)).decode()
        data["text/plain"] = self.sentence
        return data, metadata | {"image/png": {"alt": self.sentence, "width": min(style.SHOWN, self.scene.size[0])}}
