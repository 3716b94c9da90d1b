// What the browser tests ask of the page; loaded before JupyterLab.
window.workbook = {
  // Whether the notebook is open, uses the whole width, and its kernel answers; it never waits.
  isReady() {
    if (!window.jupyterapp?.shell.currentWidget?.sessionContext) return false;
    this.opening ??= this.ready().then(() => (this.opened = true));
    return Boolean(this.opened);
  },

  async ready() {
    const { shell, commands } = window.jupyterapp;
    const panel = shell.currentWidget;
    await panel.context.ready;
    await panel.sessionContext.ready;
    await panel.sessionContext.session.kernel.info;
    if (!shell.leftCollapsed) await commands.execute("application:toggle-left-area");
  },

  runAll() {
    const { commands } = window.jupyterapp;
    commands.execute("notebook:clear-all-cell-outputs");
    commands.execute("notebook:run-all-cells").then((fine) => (window.ranAll = [fine]));
  },

  // Run the imports and the explorers alone.
  async runExplorers() {
    const { shell, commands } = window.jupyterapp;
    const { content } = shell.currentWidget;
    for (const [index, { model }] of content.widgets.entries()) {
      if (model.type !== "code") continue;
      const lines = model.sharedModel.source.split("\n").filter((line) => line.trim() && !line.startsWith("#"));
      const imports = lines.length > 0 && lines.every((line) => /^(from|import) /.test(line));
      if (!imports && !/^explore\.\w+\(/.test(lines[0] ?? "")) continue;
      content.deselectAll();
      content.activeCellIndex = index;
      await commands.execute("notebook:run-cell");
    }
    window.ranAll = [true];
  },

  // Show the outputs of the cell with the first explorer once more, beside the notebook; again to close that view.
  async viewAgain() {
    const { shell, commands } = window.jupyterapp;
    if (this.second) return this.second.dispose();
    const panel = shell.currentWidget;
    panel.content.activeCellIndex = panel.content.widgets.findIndex((cell) => cell.node.querySelector(".workbook-explorer"));
    await commands.execute("notebook:create-output-view");
    this.second = [...shell.widgets("main")].find((widget) => widget !== panel);
  },

  // Run the code cell of that number.
  async run(number) {
    const { shell, commands } = window.jupyterapp;
    const { content } = shell.currentWidget;
    const code = content.widgets.filter((cell) => cell.model.type === "code");
    content.deselectAll();
    content.activeCellIndex = content.widgets.indexOf(code[number]);
    await commands.execute("notebook:run-cell");
  },

  // Note down which icons the page shows from now on.
  watchIcon() {
    const icons = (window.icons = []);
    const shown = () => document.querySelector('link[rel="icon"]').classList.contains("busy") ? "busy" : "idle";
    let last = shown();
    new MutationObserver(() => {
      if (shown() !== last) icons.push((last = shown()));
    }).observe(document.head, { subtree: true, childList: true, attributeFilter: ["rel"] });
  },

  // Note down what the reader does to an explorer, and when its picture has changed.
  watch(root) {
    const note = (root.note = { done: [], seen: [] });
    root.addEventListener("input", ({ target, timeStamp }) => {
      const value = target.getAttribute("aria-valuetext") ?? target.value; // a slider over listed values says which
      note.done.push({ name: target.closest(".field").dataset.name, value, at: timeStamp });
    });
    // Each frame writes this line, also one that leaves the picture as it was.
    const line = root.querySelector("code");
    new MutationObserver(() => {
      const { textContent } = line;
      requestAnimationFrame(() => note.seen.push({ code: textContent, at: performance.now() }));
    }).observe(line, { childList: true });
  },

  // Wait until an explorer has answered all that it was asked.
  quiet(root) {
    return new Promise((done) => {
      const look = () => (root.ariaBusy === "true" ? setTimeout(look, 5) : requestAnimationFrame(done));
      look();
    });
  },

  // The SHA-256 of the pixels that an explorer shows: to compare them without sending a million numbers.
  async digest(root) {
    const canvas = root.querySelector(".picture");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", data));
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  },

  // Nothing of a stored picture is cut off or needs scrolling sideways.
  fits(image) {
    return image.getBoundingClientRect().right <= image.closest(".jp-OutputArea").getBoundingClientRect().right;
  },

  // Where the element with the focus is within its explorer, and how thick its ring.
  focused() {
    const element = document.activeElement;
    const [box, around] = [element, element.closest(".workbook-explorer")].map((e) => e.getBoundingClientRect());
    const ring = getComputedStyle(element);
    return {
      top: box.top - around.top,
      left: box.left - around.left,
      ring: ring.outlineStyle === "none" ? 0 : parseFloat(ring.outlineWidth),
    };
  },

  // The contrast of every text in an explorer with what is behind it (WCAG 2).
  contrasts(root) {
    const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
    const light = (colour) => {
      const linear = colour.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const behind = (element) => {
      for (; element; element = element.parentElement) {
        const colour = numbers(getComputedStyle(element).backgroundColor);
        if (colour.length < 4 || colour[3] > 0) return colour;
      }
      return [255, 255, 255];
    };
    const over = ([r, g, b, alpha = 1], paper) => [r, g, b].map((v, i) => alpha * v + (1 - alpha) * paper[i]);
    const texts = "label, input[type=number], input[type=text], select, textarea, button, output, p, span, small, code";
    return [...root.querySelectorAll(texts)].map((element) => {
      const paper = behind(element);
      const pair = [light(over(numbers(getComputedStyle(element).color), paper)), light(paper)];
      return [element.outerHTML.slice(0, 80), (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05)];
    });
  },
};
