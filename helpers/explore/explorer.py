"""The one mechanism behind every explorer: controls, their state, a redraw, a picture and a sentence."""

import asyncio
import base64
import html
import io

import ipywidgets as widgets
from PIL import Image

_LABEL = {"description_width": "8.5em"}


def slider(label, value, low, high, step):
    """Return a slider over the real numbers low, low + step, ..., high."""
    digits = max(0, len(f"{step:.10f}".rstrip("0").split(".")[1]))
    return widgets.FloatSlider(
        value=value, min=low, max=high, step=step, description=label, readout_format=f".{digits}f",
        style=_LABEL, layout=widgets.Layout(width="26em"),
    )  # fmt: skip


def whole(label, value, low, high):
    """Return a slider over the whole numbers low, ..., high."""
    return widgets.IntSlider(
        value=value, min=low, max=high, description=label, style=_LABEL, layout=widgets.Layout(width="26em")
    )


def pick(label, options, value):
    """Return a slider over a few listed values, such as powers of ten."""
    return widgets.SelectionSlider(
        options=options, value=value, description=label, style=_LABEL, layout=widgets.Layout(width="26em")
    )


def choice(label, options, value=None):
    """Return a drop-down list; `options` are values, or pairs (what the reader sees, value)."""
    return widgets.Dropdown(
        options=options, value=value, description=label, style=_LABEL, layout=widgets.Layout(width="26em")
    )


def switch(label, value=False):
    """Return a labelled check box."""
    return widgets.Checkbox(value=value, description=label, indent=False, layout=widgets.Layout(width="auto"))


def text(label, value, rows=1):
    """Return a field for typed text; its value arrives when the reader leaves it or, in one row, presses Enter."""
    kind = widgets.Text if rows == 1 else widgets.Textarea
    extra = {} if rows == 1 else {"rows": rows}
    return kind(
        value=value, description=label, continuous_update=False, style=_LABEL,
        layout=widgets.Layout(width="26em"), **extra,
    )  # fmt: skip


class Explorer:
    """A picture that answers its controls: live in a kernel, a captioned picture everywhere else.

    `scene` draws (see `helpers.figures.scene.Scene`); `controls` maps the names of its state to widgets; `call` is the
    expression that makes this explorer, from which the line "as code" is built. `steps` names the whole-number slider
    that Previous, Next and Play move. `rows` groups control names side by side; by default two in a row.
    Setting `Explorer.raise_errors = True` lets a redraw's exception propagate, for tests.
    """

    raise_errors = False
    pause = 0.7  # seconds between two steps of Play

    def __init__(self, scene, controls, call, steps=None, rows=None):
        self.scene, self.controls, self.call, self.steps = scene, dict(controls), call, steps
        self.initial = self.state
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%", align_self="flex-start"))
        self.caption = widgets.HTML()
        self.code = widgets.HTML()
        self.buttons = {}
        self._playing = None
        self._held = False
        self._build(rows)
        for control in self.controls.values():
            control.observe(self._changed, "value")
        self.redraw()

    @property
    def state(self):
        """The present values of the controls, by name."""
        return {name: control.value for name, control in self.controls.items()}

    @property
    def sentence(self):
        """The sentence that describes the present picture."""
        return self._sentence

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

    def redraw(self):
        """Draw the present state; raises whatever the scene raises."""
        picture, self._sentence = self.scene.draw(**self.state)
        self.picture.value = picture
        self.picture.tooltip = self._sentence  # becomes the image's accessible name
        self.caption.value = (
            f'<div role="status" style="max-width:52em;line-height:1.5">{html.escape(self._sentence)}</div>'
        )
        self.code.value = f"As code: <code>{html.escape(self.as_code)}</code>"

    def _changed(self, change=None):
        if self._held:
            return
        try:
            self.redraw()
        except Exception as error:  # an exception in a callback would vanish without a word in JupyterLab
            if self.raise_errors:
                raise
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            self.caption.value = f'<div role="alert"><b>Not drawn.</b> {html.escape(kind + str(error))}</div>'

    def step(self, by):
        """Move the stepping slider by `by`, within its range; return whether it moved."""
        control = self.controls[self.steps]
        before = control.value
        control.value = min(control.max, max(control.min, before + by))
        return control.value != before

    def reset(self):
        """Return every control to where it began."""
        self.stop()
        self.set(**self.initial)

    async def play(self):
        """Step to the end, from the beginning if already there."""
        control = self.controls[self.steps]
        if control.value == control.max:
            control.value = control.min
        while self.step(1):
            await asyncio.sleep(self.pause)
        self.stop()

    def stop(self):
        """Stop playing."""
        task, self._playing = self._playing, None
        if task is not None and not task.done() and task is not _current_task():
            task.cancel()
        if "play" in self.buttons:
            self.buttons["play"].description = "Play"

    def _toggle_play(self):
        if self._playing is not None:
            self.stop()
        else:
            self.buttons["play"].description = "Pause"
            self._playing = asyncio.ensure_future(self.play())

    def _build(self, rows):
        names = [name for name in self.controls]
        rows = rows or [names[i : i + 2] for i in range(0, len(names), 2)]
        lines = [_row([self.controls[name] for name in row]) for row in rows]
        actions = {}
        if self.steps:
            actions |= {
                "previous": ("Previous", lambda: self.step(-1)),
                "next": ("Next", lambda: self.step(1)),
            }
            actions |= {"play": ("Play", self._toggle_play)}
        actions |= {"reset": ("Reset", self.reset)}
        for name, (label, action) in actions.items():
            button = widgets.Button(description=label, layout=widgets.Layout(width="7em"))
            button.on_click(lambda _, action=action: action())
            self.buttons[name] = button
        lines.append(_row(list(self.buttons.values())))
        self.widget = widgets.VBox([*lines, self.picture, self.caption, self.code])

    def __repr__(self):
        return self.sentence

    def _repr_mimebundle_(self, include=None, exclude=None):
        # Three renderings of one thing: a live widget, a picture for readers without a kernel, a sentence for tests.
        data = self.widget._repr_mimebundle_()
        data = {k: v for k, v in data.items() if k != "text/html"}
        small = io.BytesIO()
        picture = Image.open(io.BytesIO(self.picture.value))
        picture.quantize(256, dither=Image.Dither.NONE).save(small, format="png", optimize=True)
        data["image/png"] = base64.b64encode(small.getvalue()).decode()
        data["text/plain"] = self.sentence
        return data, {"image/png": {"alt": self.sentence}}


def _row(children):
    return widgets.HBox(children, layout=widgets.Layout(flex_flow="row wrap"))


def _current_task():
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
