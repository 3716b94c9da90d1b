// The page's half of an explorer: native controls, a picture whose alternative text follows it, one sentence.
// One request is under way at a time, and the kernel answers it with one frame; what the reader does meanwhile goes with
// the next one, newer choices in place of older ones, so that no queue grows. The kernel sends only those blocks of
// the picture that differ from the frame the request says is here.

let views = 0;

function make(tag, facts = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(facts)) {
    if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// JupyterLab takes single letters for commands, also while a slider has the focus: X would cut the cell.
// The attribute keeps them here; with Ctrl or Cmd held, shortcuts such as saving stay JupyterLab's.
const KEEP = "data-lm-suppress-shortcuts";
function keepKeys(root) {
  for (const element of root.querySelectorAll("input, select, textarea, button, canvas, code")) element.setAttribute(KEEP, "");
  const follow = (event) => event.target.toggleAttribute(KEEP, !(event.ctrlKey || event.metaKey));
  root.addEventListener("keydown", follow);
  root.addEventListener("keyup", follow);
}

// Typed text counts once it is finished: by Enter, or by leaving the field.
function finished(field, act) {
  field.addEventListener("change", act);
  if (field.tagName === "INPUT") field.addEventListener("keydown", (event) => event.key === "Enter" && act());
}

// Each kind of control: `parts` are its elements, `show(value, ends)` displays; `choose(value)` reports the reader's.
const kinds = {
  slider(facts, id, choose) {
    const bounds = { type: "range", id, step: String(facts.step), min: String(facts.min), max: String(facts.max) };
    const range = make("input", bounds);
    const typed = make("input", { ...bounds, type: "number", id: `${id}-typed`, "aria-label": `${facts.label}, typed` });
    range.addEventListener("input", () => choose(Number(range.value)));
    finished(typed, () => {
      const value = Number(typed.value);
      if (typed.value === "" || !Number.isFinite(value)) return show(current, [range.min, range.max]);
      choose(Math.min(range.max, Math.max(range.min, facts.step === 1 ? Math.round(value) : value)));
    });
    let current = facts.initial;
    let limits = [facts.min, facts.max];
    function show(value, [low, high]) {
      current = value;
      if (low !== limits[0] || high !== limits[1]) {
        limits = [low, high];
        range.min = typed.min = low;
        range.max = typed.max = high;
      }
      range.value = value;
      const rounded = value.toFixed(facts.digits);
      typed.value = Number(rounded) === value ? rounded : String(value);
    }
    return { parts: [make("label", { for: id }, facts.label), range, typed], show };
  },
  pick(facts, id, choose) {
    const range = make("input", { type: "range", id, min: "0", max: String(facts.options.length - 1), step: "1" });
    const chosen = make("output", { for: id });
    range.addEventListener("input", () => choose(Number(range.value)));
    const show = (value) => {
      range.value = value;
      chosen.textContent = facts.options[value];
      range.setAttribute("aria-valuetext", facts.options[value]);
    };
    return { parts: [make("label", { for: id }, facts.label), range, chosen], show };
  },
  choice(facts, id, choose) {
    const select = make("select", { id }, ...facts.options.map((name) => make("option", {}, name)));
    select.addEventListener("change", () => choose(select.selectedIndex));
    return { parts: [make("label", { for: id }, facts.label), select], show: (value) => (select.selectedIndex = value) };
  },
  switch(facts, id, choose) {
    const box = make("input", { type: "checkbox", id });
    box.addEventListener("change", () => choose(box.checked));
    return { parts: [box, make("label", { for: id }, facts.label)], show: (value) => (box.checked = value) };
  },
  text(facts, id, choose) {
    const field = facts.rows > 1 ? make("textarea", { id, rows: facts.rows }) : make("input", { type: "text", id });
    field.spellcheck = false;
    let typing = false;
    field.addEventListener("input", () => (typing = true));
    finished(field, () => {
      typing = false;
      choose(field.value);
    });
    const show = (value) => {
      if (!typing && field.value !== value) field.value = value;
    };
    return { parts: [make("label", { for: id }, facts.label), field], show };
  },
  pad(facts, id, choose) {
    const side = 200; // on the page; strokes are written down in hundredths of it
    const hint = "with mouse, pen or finger; or with the arrow keys, where Space lowers and lifts the pen";
    const spoken = { tabIndex: 0, role: "application", "aria-label": `${facts.label}, ${hint}` };
    const sheet = make("canvas", { width: 2 * side, height: 2 * side, ...spoken });
    const pen = sheet.getContext("2d");
    let strokes = [];
    let drawing = false; // the pen is down
    let tip = [50, 20]; // where the keys have moved it
    let keys = false; // it is shown once a key has moved it
    function draw() {
      pen.clearRect(0, 0, 2 * side, 2 * side);
      Object.assign(pen, { lineWidth: 0.14 * side, lineCap: "round", lineJoin: "round", strokeStyle: "#1f2933" });
      const place = ([x, y]) => [0.02 * side * (x + 0.5), 0.02 * side * (y + 0.5)];
      for (const points of strokes) {
        pen.beginPath();
        for (const point of [points[0], ...points]) pen.lineTo(...place(point));
        pen.stroke();
      }
      if (!keys) return;
      Object.assign(pen, { lineWidth: 4, strokeStyle: "#d55e00", fillStyle: drawing ? "#d55e00" : "#fff" });
      pen.beginPath();
      pen.arc(...place(tip), 12, 0, 2 * Math.PI);
      pen.fill();
      pen.stroke();
    }
    function report() {
      sheet.value = strokes.map((points) => points.map((point) => point.join(",")).join(" ")).join("; ");
      sheet.dispatchEvent(new Event("input", { bubbles: true })); // as other controls do
      choose(sheet.value);
    }
    function extend(point) {
      const points = strokes[strokes.length - 1];
      const [x, y] = points[points.length - 1] ?? [-9, -9];
      if (Math.hypot(point[0] - x, point[1] - y) < 2) return; // a finer line would only be a longer one
      points.push(point);
      draw();
      report();
    }
    function lower(point) {
      drawing = true;
      strokes.push([]);
      extend(point);
    }
    function lift() {
      drawing = false;
      draw();
    }
    const within = (place) => Math.min(99, Math.max(0, Math.floor(place)));
    const under = (event) => {
      const box = sheet.getBoundingClientRect();
      const [right, down] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
      return [within(100 * right), within(100 * down)];
    };
    sheet.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      keys = false;
      sheet.setPointerCapture(event.pointerId);
      lower(under(event));
    });
    sheet.addEventListener("pointermove", (event) => sheet.hasPointerCapture(event.pointerId) && extend(under(event)));
    for (const end of ["pointerup", "pointercancel"]) sheet.addEventListener(end, lift);
    sheet.addEventListener("keydown", (event) => {
      const [right, down] = { ArrowLeft: [-4, 0], ArrowRight: [4, 0], ArrowUp: [0, -4], ArrowDown: [0, 4] }[event.key] ?? [];
      if (right === undefined && event.key !== " ") return;
      event.preventDefault(); // the page would scroll
      if (event.key === " " && !drawing) lower(tip);
      else if (event.key === " ") lift();
      else tip = [within(tip[0] + right), within(tip[1] + down)];
      keys = true;
      if (drawing) extend(tip);
      draw();
    });
    sheet.addEventListener("blur", () => {
      keys = false;
      lift();
    });
    const change = (name, act) => {
      const button = make("button", { type: "button" }, name);
      button.addEventListener("click", () => {
        strokes = act(strokes);
        draw();
        report();
      });
      return button;
    };
    const buttons = [change("Undo stroke", (all) => all.slice(0, -1)), change("Clear", () => [])];
    const show = (value) => {
      if (drawing) return;
      const written = value.split(";").filter((stroke) => stroke.trim());
      strokes = written.map((stroke) => stroke.trim().split(/\s+/).map((point) => point.split(",").map(Number)));
      draw();
    };
    const spell = make("small", { "aria-hidden": "true" }, hint); // the sheet's label has it for screen readers
    const beside = make("div", {}, spell, make("div", { class: "buttons" }, ...buttons));
    return { parts: [make("span", {}, facts.label), sheet, beside], show };
  },
  file(facts, id, choose, complain) {
    const most = 7; // megabytes: Jupyter's server takes messages of up to 10, and as text a file is a third larger
    const button = make("button", { type: "button", id, "aria-label": `${facts.label}: choose a file` }, "Choose a file");
    const chosen = make("output", { for: id });
    let input; // kept, lest it be cleared away before the reader has chosen
    function read([file]) {
      if (!file) return;
      if (file.size > 1e6 * most) {
        const size = (file.size / 1e6).toFixed(1);
        return complain(`${file.name} has ${size} MB; choose a file of at most ${most} MB, or shrink it first.`);
      }
      const reader = new FileReader();
      reader.onload = () => choose({ name: file.name, data: reader.result.slice(reader.result.indexOf(",") + 1) });
      reader.onerror = () => complain(`${file.name} could not be read; choose another file.`);
      reader.readAsDataURL(file);
    }
    button.addEventListener("click", () => {
      input = make("input", { type: "file", accept: facts.formats });
      input.addEventListener("change", () => read(input.files));
      input.click();
    });
    const show = ({ name }) => (chosen.textContent = name);
    return { parts: [make("label", { for: id }, facts.label), button, chosen], show };
  },
};

// The image in a data URL, which is there sooner than a blob, which another process hands out; nothing of nothing.
function decode(url) {
  if (!url) return null;
  return new Promise((done) => {
    const image = new Image();
    image.onload = () => done(image);
    image.onerror = () => done(null);
    image.src = url;
  });
}

// JupyterLab says by the page's icon that the kernel is busy: with each answer two icons fetched and drawn, which took
// a fifth of its time. It looks for an icon of the class "favicon", so while an answer is awaited there is none.
let icon = null;
let iconTimer = null;
function keepIcon() {
  icon ??= document.querySelector('link.idle.favicon[rel="icon"]'); // none elsewhere, and none while a cell runs
  icon?.classList.remove("favicon");
  clearTimeout(iconTimer);
  iconTimer = setTimeout(freeIcon, 2000); // a kernel that has died does not answer
}
function freeIcon() {
  clearTimeout(iconTimer);
  icon?.classList.add("favicon");
  icon = null;
}

function render({ model, el }) {
  const form = model.get("form");
  const view = `${Date.now()}-${++views}`;
  const values = {}; // as shown here
  let touched = {}; // what the reader chose since the last request
  let pointer = null;
  let waiting = false;
  let frame = model.get("frame"); // the latest
  let have = 0; // the number of the frame that is shown, or will be once its picture is decoded
  let shown = Promise.resolve(); // frames are shown one after the other
  let timer = null; // of Play

  function ask() {
    root.setAttribute("aria-busy", "true"); // screen readers wait with the sentence
    if (waiting) return;
    waiting = true;
    keepIcon();
    model.send({ view, values: touched, pointer, have });
    touched = {};
    pointer = null;
  }

  function choose(name, value) {
    values[name] = touched[name] = value;
    fields[name].show(value, ends(name));
    ask();
  }

  const ends = (name) => frame.ends[name] ?? [];

  // --- the controls
  const fields = {};
  const rows = form.rows.map((names) =>
    make("div", { class: "row" }, ...names.map((name) => {
      const facts = form.controls[name];
      const chosen = (value) => { stop(); choose(name, value); };
      fields[name] = kinds[facts.kind](facts, `explorer-${view}-${name}`, chosen, (problem) => say("", problem));
      return make("div", { class: `field ${facts.kind}`, "data-name": name }, ...fields[name].parts);
    })),
  );

  // --- the buttons
  const button = (label, action) => {
    const element = make("button", { type: "button" }, label);
    element.addEventListener("click", action);
    return element;
  };
  function step(by) {
    const [low, high] = ends(form.steps);
    const next = Math.min(high, Math.max(low, values[form.steps] + by));
    if (next !== values[form.steps]) choose(form.steps, next);
  }
  function stop() {
    clearTimeout(timer);
    timer = null;
    play.textContent = "Play";
  }
  function tick() {
    const [low, high] = ends(form.steps);
    if (values[form.steps] >= high) return stop();
    step(1); // the answer to it sets the next tick
  }
  const play = button("Play", () => {
    if (timer !== null) return stop();
    play.textContent = "Pause";
    const [low, high] = ends(form.steps);
    timer = 0;
    if (values[form.steps] >= high) choose(form.steps, low);
    else tick();
  });
  const move = (by) => () => { stop(); step(by); };
  const steps = form.steps ? [button("Previous", move(-1)), button("Next", move(1)), play] : [];
  const reset = button("Reset", () => {
    stop();
    for (const [name, facts] of Object.entries(form.controls)) {
      values[name] = touched[name] = facts.initial;
      fields[name].show(facts.initial, ends(name));
    }
    ask();
  });

  // --- the picture, its sentence, its code
  const [width, height] = form.size;
  const picture = make("canvas", { class: "picture", role: "img", width, height });
  const paper = picture.getContext("2d");
  const sentence = make("p", { class: "sentence", role: "status" });
  const code = make("code");
  const copy = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code); // no clipboard without https: one key press is left to the reader
      copy.textContent = "Selected";
    }
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  });
  copy.setAttribute("aria-label", "Copy the line that makes this explorer as it is now");
  const root = make(
    "div",
    { class: "workbook-explorer" },
    ...rows,
    make("div", { class: "buttons" }, ...steps, reset),
    picture,
    sentence,
    make("div", { class: "code" }, make("span", {}, "As code"), code, copy),
  );
  keepKeys(root);
  el.append(root);

  if (form.drag) {
    picture.classList.add("draggable");
    picture.title = form.drag;
    const point = (event) => {
      const box = picture.getBoundingClientRect();
      pointer = [(event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height];
      ask();
    };
    picture.addEventListener("pointerdown", (event) => {
      stop();
      picture.setPointerCapture(event.pointerId);
      point(event);
    });
    picture.addEventListener("pointermove", (event) => picture.hasPointerCapture(event.pointerId) && point(event));
  }

  function say(words, problem) {
    sentence.setAttribute("role", problem ? "alert" : "status");
    sentence.textContent = problem ? `Not drawn. ${problem}` : words;
  }

  function paint({ over, numbers, block: [wide, high] }, sheet) {
    if (!over) return paper.drawImage(sheet, 0, 0);
    const place = (k, across) => [wide * (k % across), high * Math.floor(k / across)];
    const columns = Math.ceil(width / wide);
    for (const [k, number] of numbers.split(" ").entries()) {
      const from = place(k, sheet.width / wide);
      paper.drawImage(sheet, ...from, wide, high, ...place(number, columns), wide, high);
    }
  }

  function showValues(next) {
    for (const [name, value] of Object.entries(next.values)) {
      values[name] = value;
      fields[name].show(value, ends(name));
    }
  }

  function show(next, sheet) {
    if (sheet) paint(next, sheet);
    picture.setAttribute("aria-label", next.sentence);
    say(next.sentence, next.problem);
    code.textContent = next.code;
    if (waiting) return; // newer choices are on their way
    root.removeAttribute("aria-busy");
    showValues(next);
    if (timer !== null) {
      clearTimeout(timer);
      timer = setTimeout(tick, 1000 * form.pause);
    }
  }

  function update(next) {
    frame = next;
    if (next.answers === view) {
      waiting = false;
      freeIcon();
    }
    const fits = !next.over || next.over === have; // else another view asked for it, and this one for the whole
    have = fits ? next.number : 0;
    if (!waiting && (!fits || pointer || Object.keys(touched).length)) ask(); // first, so that the kernel draws while this is shown
    const decoded = fits && decode(next.picture);
    if (fits) shown = shown.then(() => decoded).then((sheet) => show(next, sheet));
  }
  model.on("msg:custom", update);
  showValues(frame);
  update(frame);
  // Since that frame was made other views may have moved on. Without a kernel nobody answers, and nothing is busy.
  waiting = true;
  model.send({ view, values: {}, pointer, have });
  return () => {
    stop();
    model.off("msg:custom", update);
  };
}

export default { render };
