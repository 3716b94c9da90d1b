"""Every notebook in JupyterLab in Chromium: run, moved by key and by hand, read without a kernel."""

import ast
import hashlib
import importlib
import io
import os
import re
from html.parser import HTMLParser

import nbformat
import pytest
from conftest import ROOT
from nbconvert import HTMLExporter
from PIL import Image

NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
EXPLORERS = ".jp-OutputArea .workbook-explorer"


def stored(name):
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def described(name):
    """Return the alternative texts of the pictures stored in a notebook."""
    outputs = [output for cell in stored(name).cells for output in cell.get("outputs", [])]
    return [output.metadata["image/png"]["alt"] for output in outputs if "image/png" in output.get("data", {})]


def open_notebook(browser, lab, name, screenshots):
    """Begin to open a notebook in a fresh workspace, in a page of 1,000 px; return the page."""
    context = browser.new_context(
        viewport={"width": 1000, "height": 1000}, permissions=["clipboard-read", "clipboard-write"]
    )
    page = context.new_page()
    page.add_init_script(path=ROOT / "tests" / "browser" / "page.js")
    page.set_default_timeout(60_000)
    page.name, page.errors, page.screenshots, page.running = name, [], screenshots, False
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(f"{lab}/lab/workspaces/{name}/tree/{name}.ipynb?reset&token=workbook", wait_until="commit")
    return page


def change_theme(page, theme):
    page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
    page.wait_for_function(
        "light => document.body.dataset.jpThemeLight === light", arg=str("Dark" not in theme).lower()
    )


def look(page):
    """Note down what the page shows before any cell has run."""
    pictures = page.locator(".jp-OutputArea img")
    if described(page.name):
        pictures.nth(len(described(page.name)) - 1).wait_for()
    decoded = "async image => { await image.decode(); return image.naturalWidth > 0 && workbook.fits(image) }"
    page.pictures = [image.evaluate(decoded) for image in pictures.all()]
    page.broken = page.get_by_text(re.compile("Error displaying widget|model not found")).count()
    for number, cell in enumerate(cell for cell in stored(page.name).cells if cell.cell_type == "code"):
        if made := re.match(r"explore\.(\w+)\(", cell.source):
            shot = page.locator(".jp-CodeCell").nth(number)
            shot.screenshot(path=page.screenshots / f"{page.name[:2]}_{made[1]}_still.png")


def start(page):
    """Begin to run all cells; with SKIP_TRAININGS, in 05 and 06 those that explorers need."""
    page.running = True
    few = os.environ.get("SKIP_TRAININGS") and page.name[:2] in ("05", "06")
    page.evaluate("() => { workbook.runExplorers() }" if few else "() => { workbook.runAll() }")  # without waiting


def run_when_open(page):
    """Wait until the notebook is open, look at it, and begin to run it."""
    if not page.running:
        page.wait_for_function("() => workbook.isReady()")
        look(page)
        start(page)


@pytest.fixture(scope="session")
def ahead():
    """The page of the notebook after the one being tested: it opens and runs meanwhile."""
    return []


@pytest.fixture(autouse=True)
def meanwhile(ahead):
    """Between two tests, run the next notebook if it has opened."""
    for page in ahead:
        if page.evaluate("() => window.workbook?.isReady()"):
            run_when_open(page)


@pytest.fixture(scope="module", params=NOTEBOOKS)
def opened(request, browser, lab, ahead, screenshots):
    """One notebook, looked at as it is stored."""
    if ahead:
        page = ahead.pop()
    else:
        page = open_notebook(browser, lab, request.param, screenshots)
    run_when_open(page)
    assert page.name == request.param
    yield page
    page.context.close()


@pytest.fixture(scope="module")
def notebook(request, opened, browser, lab, ahead, screenshots):
    """The same notebook after its cells have run."""
    asked = [item.callspec.params["opened"] for item in request.session.items if "opened" in item.fixturenames]
    after = asked[asked.index(opened.name) :]
    following = next((name for name in after if name != opened.name), None)
    if following:
        ahead.append(open_notebook(browser, lab, following, screenshots))
    opened.wait_for_function("() => window.ranAll", timeout=400_000)
    return opened


@pytest.fixture
def alone(notebook, ahead):
    """The same once the next notebook has run, so that it takes no time from what is measured."""
    for page in ahead:
        run_when_open(page)
        page.wait_for_function("() => window.ranAll", timeout=400_000)
    return notebook


def explorers(page):
    """Return the explorers in the page; at least as many as the notebook's source asks for."""
    code_cells = [cell.source for cell in stored(page.name).cells if cell.cell_type == "code"]
    wanted = sum(bool(re.match(r"explore\.\w+\(", source)) for source in code_cells)
    if wanted:
        page.locator(EXPLORERS).nth(wanted - 1).wait_for()
    assert page.locator(EXPLORERS).count() == wanted
    found = page.locator(EXPLORERS).all()
    for explorer in found:
        quiet(explorer)
    return found


def room(page):
    """Return the module of the notebook's explorers."""
    source = (ROOT / "notebooks" / "text" / f"{page.name}.py").read_text(encoding="utf-8")
    return importlib.import_module(
        f"helpers.explore.{re.search(r'from helpers.explore import (.+) as explore', source)[1]}"
    )


def quiet(explorer):
    """Wait until the explorer has answered all that it was asked."""
    explorer.evaluate("root => workbook.quiet(root)")


def code(explorer):
    return explorer.locator("code").inner_text()


def name_of(explorer):
    return code(explorer).partition("(")[0]


def value_in(line, name):
    """Return what the line as code says of the control `name`."""
    (call,) = (node for node in ast.walk(ast.parse(line)) if isinstance(node, ast.Call))
    return next(ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg == name)


def picture(explorer):
    """Return a digest of the pixels that the page shows."""
    return explorer.evaluate("root => workbook.digest(root)")


def agrees(explorer, page):
    """The shown picture, its alternative text and its sentence are those of the line as code, evaluated here."""
    quiet(explorer)
    same = eval(code(explorer), {"explore": room(page)})
    sentence = explorer.locator(".sentence").inner_text()
    assert explorer.locator(".picture").get_attribute("aria-label") == same.sentence
    assert re.sub(r"\s+", " ", sentence) == re.sub(r"\s+", " ", same.sentence)
    expected = Image.open(io.BytesIO(same.picture)).convert("RGBA").tobytes()
    assert picture(explorer) == hashlib.sha256(expected).hexdigest()


def press_button(explorer, name):
    button = explorer.get_by_role("button", name=name, exact=True)
    button.focus()
    button.press("Enter")
    quiet(explorer)


def record(explorer, latencies, how):
    """Match what the reader did with the pictures of it, and keep the milliseconds between."""
    note = explorer.evaluate("root => root.note")
    for name in {done["name"] for done in note["done"]}:
        done = [(done["value"], done["at"]) for done in note["done"] if done["name"] == name]
        times, last = [], 0.0
        for seen in note["seen"]:
            shown = value_in(seen["code"], name)
            same = [at for value, at in done if (value if isinstance(shown, str) else float(value)) == shown]
            at = [at for at in same if last < at < seen["at"]]
            if at:
                last = at[-1]
                times.append(seen["at"] - last)
        if times:
            latencies.append((name_of(explorer), name, how, times))
    explorer.evaluate("root => { root.note.done = []; root.note.seen = []; }")


class Images(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.alternatives = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        if tag == "img":
            self.alternatives.append(dict(attributes).get("alt") or "")


def test_without_a_kernel_the_described_picture_is_there(opened):
    """What JupyterLab and a plain web page show of the stored outputs."""
    html, _ = HTMLExporter(template_name="classic").from_notebook_node(
        stored(opened.name)
    )  # the newer one drops the text
    assert Images(html).alternatives == described(opened.name)
    assert "model not found" not in html and "application/vnd.jupyter.widget-view+json" not in html
    assert opened.pictures == [True] * len(described(opened.name))  # each can be seen and is not cut off
    assert opened.broken == 0


def test_cells_run_without_an_error(notebook):
    bad = notebook.locator(
        '.jp-OutputArea [data-mime-type="application/vnd.jupyter.error"], '
        '.jp-OutputArea [data-mime-type="application/vnd.jupyter.stderr"]'
    )
    assert bad.count() == 0, bad.first.inner_text()
    assert notebook.get_by_text(re.compile("Error displaying widget|model not found")).count() == 0
    explorers(notebook)
    assert notebook.errors == []


def test_a_view_opened_later_shows_the_same_and_both_follow_either(notebook):
    """In one notebook with one explorer: the mechanism is the same in all."""
    if len(explorers(notebook)) != 1:
        return
    first = notebook.locator(EXPLORERS).first
    slide = ".field:is(.slider, .pick) input[type=range]"
    first.locator(slide).last.press("ArrowRight")
    quiet(first)
    shown = code(first)
    notebook.evaluate("() => workbook.viewAgain()")
    try:
        notebook.locator(EXPLORERS).nth(1).wait_for()
        both = notebook.locator(EXPLORERS).all()
        for moved, key in ((None, ""), (0, "ArrowLeft"), (1, "ArrowLeft"), (0, "ArrowRight"), (1, "Home")):
            if moved is not None:
                both[moved].locator(slide).last.press(key)
                quiet(both[moved])
            said = "all => new Set(all.map((root) => root.querySelector('code').textContent)).size === 1"
            notebook.wait_for_function(said, arg=[view.element_handle() for view in both])
            agrees(both[0], notebook)
            same = "all => new Set(all.map((root) => root.querySelector('.sentence').textContent)).size === 1"
            assert notebook.evaluate(same, [view.element_handle() for view in both])
            assert picture(both[0]) == picture(both[1])
            assert (code(first) == shown) == (moved is None)
            shown = code(first)
    finally:
        notebook.evaluate("() => workbook.viewAgain()")
    press_button(first, "Reset")


def test_the_icon_of_the_page_rests_while_an_explorer_answers_and_says_busy_while_a_cell_runs(notebook):
    """In one notebook with one explorer, as above."""
    if len(explorers(notebook)) != 1:
        return
    explorer = notebook.locator(EXPLORERS).first
    notebook.evaluate("() => workbook.watchIcon()")
    start = code(explorer)
    explorer.locator(".field:is(.slider, .pick) input[type=range]").last.focus()
    for key in ("Home", "ArrowRight", "ArrowRight"):
        notebook.keyboard.press(key)
        quiet(explorer)
    assert code(explorer) != start
    assert notebook.evaluate("() => window.icons") == []
    notebook.evaluate("() => workbook.run(1)")
    notebook.wait_for_function("() => window.icons.join() === 'busy,idle'")
    press_button(explorer, "Reset")


def test_a_picture_can_be_dragged_itself(notebook):
    for explorer in explorers(notebook):
        image = explorer.locator(".picture.draggable")
        if image.count():
            image.scroll_into_view_if_needed()
            start, box = code(explorer), image.bounding_box()
            notebook.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.8 * box["height"])
            notebook.mouse.down()
            for part in range(30, 50):
                notebook.mouse.move(box["x"] + 0.01 * part * box["width"], box["y"] + 0.8 * box["height"])
            notebook.mouse.up()
            agrees(explorer, notebook)
            assert code(explorer) != start
            press_button(explorer, "Reset")


def test_the_line_as_code_can_be_copied(notebook):
    for explorer in explorers(notebook):
        explorer.get_by_role("button", name="Copy").click()
        assert notebook.evaluate("() => navigator.clipboard.readText()") == code(explorer)


def test_lists_boxes_and_text_change_the_picture(notebook):
    for explorer in explorers(notebook):
        start = code(explorer)
        for field in explorer.locator(".field:is(.choice, .switch)").all():
            before = picture(explorer)
            if field.locator("select").count():
                select = field.locator("select")
                chosen = select.evaluate("element => element.selectedIndex")
                select.select_option(index=2 if chosen == 1 else 1)  # 0 may stand for what is typed or drawn already
            else:
                field.locator("input").press("Space")
            quiet(explorer)
            assert code(explorer) != start
            assert picture(explorer) != before or explorer.locator(".switch").count(), field.inner_text()
            agrees(explorer, notebook)
            press_button(explorer, "Reset")
            assert code(explorer) == start
        for field in explorer.locator(".field.text").all():
            words = field.locator("input, textarea")
            words.fill("not a number")
            words.blur()
            quiet(explorer)
            shown = explorer.locator(".sentence")
            assert shown.inner_text() and (
                shown.get_attribute("role") == "alert" or "not a number" in shown.inner_text()
            )
            press_button(explorer, "Reset")
            assert code(explorer) == start and words.input_value() == value_in(start, field.get_attribute("data-name"))


def choose_file(page, explorer, button, name, content):
    """Press the button by key and hand the page a file."""
    said = explorer.locator(".sentence").text_content()
    with page.expect_file_chooser() as chooser:
        button.focus()
        button.press("Enter")
    chooser.value.set_files({"name": name, "mimeType": "image/png", "buffer": content})
    # The page asks once it has read the file, or says at once what is wrong with it.
    acts = "([root, said]) => root.ariaBusy === 'true' || root.querySelector('.sentence').textContent !== said"
    page.wait_for_function(acts, arg=[explorer.element_handle(), said])
    quiet(explorer)


def test_a_picture_of_ones_own_can_be_uploaded(notebook):
    for explorer in explorers(notebook):
        button = explorer.locator(".field.file button")
        if not button.count():
            continue
        start, before, sentence = code(explorer), picture(explorer), explorer.locator(".sentence")
        own = io.BytesIO()
        Image.linear_gradient("L").resize((120, 80)).convert("RGB").save(own, format="png")
        choose_file(notebook, explorer, button, "my own.png", own.getvalue())
        assert sentence.inner_text().startswith(
            "my own.png, 120×80 pixels, was cut to its middle square and resized to 32×32."
        )
        assert explorer.locator(".field.file output").inner_text() == "my own.png"
        assert picture(explorer) != before
        agrees(explorer, notebook)
        uploaded = code(explorer)
        assert explorer.locator("code").evaluate("element => element.getBoundingClientRect().height") < 90
        for content, complaint in (
            (b"some words", "Not drawn. words.png is not an image that can be read; give a PNG or JPEG file."),
            (bytes(7_100_000), "Not drawn. words.png has 7.1 MB; choose a file of at most 7 MB, or shrink it first."),
        ):
            choose_file(notebook, explorer, button, "words.png", content)
            assert sentence.inner_text() == complaint and sentence.get_attribute("role") == "alert"
            assert code(explorer) == uploaded and explorer.locator(".field.file output").inner_text() == "my own.png"
        explorer.get_by_role("button", name="Next").press("Enter")  # a test image takes its place
        quiet(explorer)
        assert value_in(code(explorer), "file") == "" and sentence.get_attribute("role") == "status"
        agrees(explorer, notebook)
        press_button(explorer, "Reset")
        assert code(explorer) == start


def test_a_number_can_be_typed_between_the_steps(notebook):
    for explorer in explorers(notebook):
        fields = explorer.locator(".field.slider").all()
        for field in fields[:1]:
            low, high = (float(field.locator("input[type=range]").get_attribute(end)) for end in ("min", "max"))
            value = round(low + (high - low) * 0.61803, 4)
            if field.locator("input[type=range]").get_attribute("step") == "1":
                value = round(value)
            field.locator("input[type=number]").select_text()
            notebook.keyboard.type(str(value))
            notebook.keyboard.press("Enter")
            quiet(explorer)
            assert value_in(code(explorer), field.get_attribute("data-name")) == value
            agrees(explorer, notebook)
            press_button(explorer, "Reset")


def test_previous_next_play_and_reset(notebook):
    for explorer in explorers(notebook):
        if not explorer.get_by_role("button", name="Play").count():
            continue
        start, before = code(explorer), picture(explorer)
        press_button(explorer, "Previous")
        press_button(explorer, "Previous")
        assert code(explorer) != start and picture(explorer) != before
        back = code(explorer)
        press_button(explorer, "Next")
        assert code(explorer) != back
        agrees(explorer, notebook)
        press_button(explorer, "Previous")
        assert code(explorer) == back
        press_button(explorer, "Play")
        notebook.wait_for_function("([root, code]) => root.querySelector('code').textContent !== code",
                                   arg=[explorer.element_handle(), back])  # fmt: skip
        assert code(explorer) != back
        pause = explorer.get_by_role("button", name="Pause")
        if pause.count():
            pause.click()
        press_button(explorer, "Reset")
        assert code(explorer) == start
        agrees(explorer, notebook)


def test_single_letters_stay_in_the_explorer(notebook):
    """X would cut the cell, A insert one: JupyterLab must not hear them while a control has the focus."""
    count = "() => window.jupyterapp.shell.currentWidget.content.widgets.length"
    before = notebook.evaluate(count)
    for explorer in explorers(notebook):
        for control in explorer.locator("input[type=range], select, button, .pad canvas").all():
            control.focus()
            for key in ("x", "a", "d", "d"):
                notebook.keyboard.press(key)
            assert control.evaluate("element => document.activeElement === element")
        assert notebook.evaluate(count) == before
        press_button(explorer, "Reset")


def test_tab_follows_the_order_of_reading_and_focus_can_be_seen(notebook):
    for explorer in explorers(notebook):
        controls = explorer.locator("input, select, textarea, button, .pad canvas")
        places, count = [], controls.count()
        controls.first.focus()
        for number in range(count):
            assert controls.nth(number).evaluate("element => document.activeElement === element"), number
            here = notebook.evaluate("() => workbook.focused()")
            assert here["ring"] >= 2, controls.nth(number).evaluate("element => element.outerHTML")
            places.append(here)
            notebook.keyboard.press("Tab")
        for one, other in zip(places, places[1:], strict=False):
            down, right = other["top"] - one["top"], other["left"] - one["left"]
            assert down > 8 or (abs(down) <= 60 and right > 0), (one, other)


def test_everything_has_a_name(notebook):
    for explorer in explorers(notebook):
        for role in ("slider", "spinbutton", "combobox", "checkbox", "textbox", "button", "img", "application"):
            for line in re.findall(rf"- '?{role}(.*)", explorer.aria_snapshot()):
                assert line.strip().startswith('"'), f"{role} without a name: {line}"


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_it_fits_and_can_be_read_in_light_and_dark(notebook, theme, screenshots):
    change_theme(notebook, theme)
    notebook.set_viewport_size({"width": 1000, "height": 1400})  # the highest one fits between the bars of JupyterLab
    try:
        for explorer in explorers(notebook):
            assert explorer.evaluate("root => root.scrollWidth <= root.clientWidth")
            assert explorer.evaluate("root => root.getBoundingClientRect().right <= innerWidth")
            for element, contrast in explorer.evaluate("root => workbook.contrasts(root)"):
                assert contrast >= 4.5, f"{contrast:.1f}:1 in {element}"
            explorer.get_by_text("Copied").wait_for(state="hidden")
            shot = f"{notebook.name[:2]}_{name_of(explorer).partition('.')[2]}_{theme.split()[1].lower()}.png"
            explorer.screenshot(path=screenshots / shot)
    finally:
        notebook.set_viewport_size({"width": 1000, "height": 1000})
        change_theme(notebook, "JupyterLab Light")


def test_every_slider_moves_the_picture_by_key(alone, latencies):
    for explorer in explorers(alone):
        explorer.evaluate("root => workbook.watch(root)")
        for field in explorer.locator(".field:is(.slider, .pick)").all():
            name, handle = field.get_attribute("data-name"), field.locator("input[type=range]")
            handle.focus()
            for keys in (["Home"], ["ArrowRight"] * 4 + ["ArrowUp", "PageUp"], ["End"], ["ArrowLeft", "PageDown"]):
                before, said = handle.input_value(), code(explorer)
                for key in keys:
                    alone.keyboard.press(key)
                    quiet(explorer)
                if handle.input_value() != before:
                    assert code(explorer) != said, (name, keys)
            shown = (
                field.locator("input[type=number]").input_value()
                if field.locator("input[type=number]").count()
                else None
            )
            assert shown is None or float(shown) == value_in(code(explorer), name)
        record(explorer, latencies, "key")
        agrees(explorer, alone)  # with every control moved
        press_button(explorer, "Reset")


def test_a_slider_can_be_dragged_and_leaves_no_backlog(alone, latencies):
    for explorer in explorers(alone):
        field = explorer.locator(".field:is(.slider, .pick)").last
        if not field.count():
            continue
        explorer.evaluate("root => workbook.watch(root)")
        handle = field.locator("input[type=range]")
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        middle = box["y"] + box["height"] / 2
        alone.mouse.move(box["x"] + 8, middle)
        alone.mouse.down()
        for step in range(1, 31):
            alone.mouse.move(box["x"] + 8 + (box["width"] * 0.6) * step / 30, middle)
            alone.wait_for_timeout(12)
        alone.mouse.up()
        quiet(explorer)
        note = explorer.evaluate("root => root.note")
        assert len({seen["code"] for seen in note["seen"]}) > 1
        late = [seen for seen in note["seen"] if seen["at"] > note["done"][-1]["at"]]
        assert len(late) <= 3  # one being shown, one being drawn, and the last: no queue has grown
        record(explorer, latencies, "drag")
        agrees(explorer, alone)
        press_button(explorer, "Reset")


def test_a_pad_can_be_drawn_on_with_the_mouse_and_by_key(alone, latencies):
    for explorer in explorers(alone):
        sheet = explorer.locator(".pad canvas")
        if sheet.count():
            start = code(explorer)
            press_button(explorer, "Clear")
            assert value_in(code(explorer), "strokes") == ""
            explorer.evaluate("root => workbook.watch(root)")
            sheet.scroll_into_view_if_needed()
            box = sheet.bounding_box()
            alone.mouse.move(box["x"] + 100, box["y"] + 20)
            alone.mouse.down()
            for step in range(1, 41):
                alone.mouse.move(box["x"] + 100 + step / 4, box["y"] + 20 + 4 * step)
                alone.wait_for_timeout(12)
            alone.mouse.up()
            agrees(explorer, alone)
            record(explorer, latencies, "pen")
            drawn = value_in(code(explorer), "strokes")
            assert len(drawn.split()) > 5 and ";" not in drawn
            press_button(explorer, "Undo stroke")
            assert value_in(code(explorer), "strokes") == ""
            sheet.focus()
            for key in ["Space"] + ["ArrowRight"] * 3 + ["ArrowDown"] * 2 + ["Space", "ArrowUp"]:
                alone.keyboard.press(key)
            agrees(explorer, alone)
            assert value_in(code(explorer), "strokes") == "50,20 54,20 58,20 62,20 62,24 62,28"
            press_button(explorer, "Reset")
            assert code(explorer) == start
