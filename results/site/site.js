"use strict";
// The page is whole without this script; it sorts, filters, draws, and tells of single runs. Texts of others are set as
// text, never as markup.
(() => {
  const FIT = [[640, [0, 1, 2, 4]], [1100, [0, 1, 2, 3, 4, 5]], [Infinity, [0, 1, 2, 3, 4, 5, 6, 9, 11, 12]]];
  // width of a window -> columns that it shows at first; others are one press away
  const data = JSON.parse(document.getElementById("data").textContent);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const boards = all("table.board");

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "onclick") element.addEventListener("click", value);
      else if (value !== null) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  // ---- sorting: every table by the same column, a third press returns to the order of the board

  const state = { column: -1, direction: 1 };

  function sort(column, direction) {
    Object.assign(state, { column, direction });
    for (const board of boards) {
      const body = board.tBodies[0], number = board.tHead.rows[0].cells[column < 0 ? 0 : column].classList.contains("n");
      const keyed = [...body.rows].map((row) => {
        const cell = row.cells[column < 0 ? 0 : column];
        if (column < 0) return [Number(row.dataset.i), row];
        return [number ? Number(cell.dataset.v ?? NaN) : cell.textContent.trim().toLowerCase(), row];
      });
      const missing = (key) => key !== key || key === "–";
      keyed.sort(([a, one], [b, other]) => {
        if (missing(a) || missing(b)) return missing(a) - missing(b) || one.dataset.i - other.dataset.i;
        const order = typeof a === "number" ? a - b : a.localeCompare(b);
        return (column < 0 ? order : direction * order) || one.dataset.i - other.dataset.i;
      });
      body.replaceChildren(...keyed.map(([, row]) => row));
      for (const head of board.tHead.rows[0].cells) {
        if (Number(head.dataset.c) === column) head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
        else head.removeAttribute("aria-sort");
      }
    }
  }

  function pressed(column) {
    if (state.column !== column) sort(column, 1);
    else if (state.direction > 0) sort(column, -1);
    else sort(-1, 1);
  }

  // ---- choice of tables, rows and columns

  const chosen = (id) => document.getElementById(id).value;

  function choose() {
    const words = chosen("filter").toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0, total = 0;
    for (const section of all("section.table")) {
      const fits = (id, own) => !chosen(id) || chosen(id) === own;
      const wanted = fits("workload", section.dataset.title) && fits("track", section.dataset.track);
      const suite = section.closest(".part").querySelector("h3").textContent.toLowerCase();
      let found = 0;
      for (const row of section.querySelector("table.board").tBodies[0].rows) {
        const text = suite + row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        found += !row.hidden;
        total += 1;
      }
      section.hidden = !wanted || !found;
      shown += wanted ? found : 0;
    }
    for (const part of all("section.part")) part.hidden = !all("section.table", part).some((one) => !one.hidden);
    document.getElementById("count").textContent = shown === total ? `${total} rows` : `${shown} of ${total} rows`;
  }

  function columns() {
    const on = all("#columns input").filter((box) => box.checked).map((box) => box.value);
    for (const cell of all("table.board [data-c]")) cell.hidden = !on.includes(cell.dataset.c);
  }

  // ---- single rows: runs, where they were made, and differences from every other row

  const dialog = document.getElementById("dialog");

  function show(title, ...children) {
    const body = document.getElementById("dialog-body");
    body.replaceChildren(...(title ? [make("h2", { id: "dialog-h" }, title)] : []), ...children);
    if (!title) {
      const head = body.querySelector("h1, h2");
      if (head) head.id = "dialog-h";
    }
    if (!dialog.open) dialog.showModal();
    else if (!dialog.contains(document.activeElement)) dialog.querySelector("form button").focus();
    dialog.scrollTop = 0;
  }

  function grid(label, headings, rows, numbers = []) {
    const head = headings.map((one, i) => make("th", { scope: "col", class: numbers.includes(i) ? "n" : null }, one));
    const top = head.length ? [make("thead", {}, make("tr", {}, ...head))] : [];
    const body = rows.map((row) => make("tr", {}, ...row.map((cell, i) =>
      make(i ? "td" : "th", { scope: i ? null : "row", class: numbers.includes(i) ? "n" : null }, cell ?? "–"))));
    return make("div", { class: "scroll", role: "region", "aria-label": label, tabindex: "0" }, make("table", {},
      ...top, make("tbody", {}, ...body)));
  }

  const signed = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);

  function pair(table, i, j) {  // error of row i less that of row j
    const n = table.rows.length, [low, high] = i < j ? [i, j] : [j, i];
    const found = table.pairs[low * n - (low * (low + 1)) / 2 + high - low - 1];
    if (i === j || !found) return null;
    return i < j ? { estimate: found[0], low: found[1], high: found[2], pairs: found[3] }
      : { estimate: -found[0], low: -found[2], high: -found[1], pairs: found[3] };
  }

  const told = (found) => found.low > 0 || found.high < 0;
  const interval = (found) => `${signed(found.estimate)} [${signed(found.low)}, ${signed(found.high)}]`;
  const how = (found) => (found.pairs ? `within ${found.pairs} seeds` : "Welch");

  function openRow(id, i) {
    const table = data.tables[id], row = table.rows[i];
    const runs = row.runs.map((number) => {
      const [run, seed, status, error, seconds, environment, source] = data.runs[number];
      const made = Object.fromEntries(data.environment.map((key, k) => [key, data.environments[environment][k]]));
      const name = make("code", {}, run.slice(0, 12));
      const file = data.records ? make("a", { href: `${data.records}${run}.json`, title: run }, name) : name;
      const machine = `${made.devices > 1 ? `${made.devices} x ` : ""}${made.device_name}, ${made.threads} thread${made.threads === 1 ? "" : "s"}, host ${made.host}`;
      return [file, String(seed), error === null ? "–" : error.toFixed(2), status, seconds === null ? "–" : seconds.toFixed(1),
        (made.commit ?? "–").slice(0, 12), `${made.platform}, Python ${made.python}, torch ${made.torch}`, machine, source];
    });
    const facts = [["Suite's command", make("code", {}, table.command)],
      ["One run", make("code", {}, row.runs.length ? `sambench describe ${data.runs[row.runs[0]][0].slice(0, 12)}` : "–")],
      ["Settings of the row", make("code", {}, row.settings || "defaults")],
      ["Settings of all rows", make("code", {}, table.settings)], ["Data, sha256", make("code", {}, table.fingerprint)]];
    const others = table.rows.map((other, j) => [other.label, pair(table, i, j)]).filter(([, found]) => found)
      .map(([label, found]) => [label, interval(found), told(found) ? (found.estimate < 0 ? "better" : "worse") : "not told apart", how(found)]);
    const card = document.getElementById(`card-${row.variant}`);
    show(`${row.label}: ${table.title}${table.track ? `, track ${table.track}` : ""}`,
      ...(card ? [make("p", {}, make("a", { href: `#card-${row.variant}` }, `Card of ${row.variant}`))] : []),
      grid("Where the row comes from", [], facts),
      make("h3", {}, "Runs"),
      grid("Runs", ["Run", "Seed", "Error, %", "Status", "Training, s", "Commit", "Software", "Machine", "Source of the rule"], runs, [1, 2, 4]),
      ...(others.length ? [make("h3", {}, "Against every other row"),
        grid("Against every other row", ["Row", "Error less that of it", "So it is", "Taken"], others, [1])] : []));
  }

  // What an address means: a card is shown, and goes with the way back; a table that a choice hides comes into sight.
  let opener = null;

  function follow() {
    const named = document.getElementById(location.hash.slice(1));  // ids are plain letters
    if (named?.matches("template")) return show("", named.content.cloneNode(true));
    if (dialog.open) dialog.close();
    if (!named?.closest("section.table[hidden], section.part[hidden]")) return;
    for (const id of ["workload", "track", "filter"]) document.getElementById(id).value = "";
    choose();
    named.scrollIntoView();
  }

  function clicked(event) {
    const link = event.target.closest('a[href^="#"]');
    if (!link) return;
    if (link.hash === location.hash) return follow();  // the browser tells of a change alone
    if (!link.hash.startsWith("#card-")) return;
    event.preventDefault();  // following it would take the focus from it, and with it the place to come back to
    if (!dialog.open) opener = link;
    history.pushState(null, "", link.hash);
    follow();
  }

  function closed() {
    if (location.hash.startsWith("#card-")) history.replaceState(null, "", location.pathname + location.search);
    opener?.focus();
    opener = null;
  }

  // ---- figures: drawn when they come into view

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const COLORS = ["#0969da", "#bc4c00", "#1a7f37", "#8250df", "#cf222e", "#9a6700", "#0a7ea4", "#bf3989", "#57606a", "#4d7c0f"];
  const DARK = ["#58a6ff", "#f0883e", "#56d364", "#bc8cff", "#ff7b72", "#e3b341", "#39c5cf", "#f778ba", "#9aa4af", "#a3d977"];

  const DASHES = [[1, 0], [6, 3], [2, 2], [8, 2, 2, 2]];

  function theme() {
    const style = getComputedStyle(document.body), text = style.color, line = dark.matches ? "#30363d" : "#d0d7de";
    return {
      background: "transparent", view: { stroke: null }, font: style.fontFamily, range: { category: dark.matches ? DARK : COLORS },
      axis: { labelColor: text, titleColor: text, gridColor: line, domainColor: line, tickColor: line, labelLimit: 160, titleFontWeight: 500 },
      legend: { labelColor: text, titleColor: text, labelLimit: 160, symbolOpacity: 1 }, rule: { color: text }, point: { color: (dark.matches ? DARK : COLORS)[0] }, text: { color: text }, title: { color: text },
    };
  }

  function cost(table) {
    const values = table.rows.filter((row) => row.cost !== null && row.error !== null).map((row) => ({
      ...row, runs: undefined, interval: row.low === null ? "none" : `${row.low} to ${row.high}`,
      kind: row.group ? (row.group.includes("a") ? "not told apart from the best" : "told apart from the best") : "not compared",
    }));
    const clean = values.filter((row) => !row.diverged), top = Math.max(...(clean.length ? clean : values).map((row) => row.high ?? row.error));
    for (const row of values) Object.assign(row, { named: row === values[0] || ["sgd", "sam"].includes(row.label), at: Math.min(row.error, top), to: Math.min(row.high ?? row.error, top), from: Math.min(row.low ?? row.error, top) });
    const x = { field: "cost", type: "quantitative", title: "Gradient evaluations", scale: { domain: [0, 1.12 * Math.max(...values.map((row) => row.cost))], nice: false }, axis: { tickCount: 5 } };
    const tooltip = [["label", "row"], ["error", "error, %"], ["interval", "95 % interval"], ["cost", "gradient evaluations"], ["seconds", "training, s"], ["group", "group"], ["n", "runs"], ["diverged", "diverged"]]
      .map(([field, title]) => ({ field, title, type: typeof values[0]?.[field] === "number" ? "quantitative" : "nominal" }));
    return {
      caption: "Error against cost, with 95 % intervals; what diverged is drawn at the upper edge",
      spec: { height: 280, data: { values }, encoding: { x },
        layer: [{ mark: { type: "rule", opacity: 0.5 }, encoding: { y: { field: "from", type: "quantitative" }, y2: { field: "to" } } },
          { mark: { type: "point", size: 70, filled: true, opacity: 0.9 }, encoding: { tooltip,
            y: { field: "at", type: "quantitative", title: "Test error, %", scale: { zero: false } },
            shape: { field: "kind", type: "nominal", legend: null } } },
          { transform: [{ filter: { field: "named", equal: true } }], mark: { type: "text", align: "left", dx: 8, fontSize: 11 }, encoding: {
            y: { field: "at", type: "quantitative" }, text: { field: "label" } } }].map((layer) => ({ ...layer,
          encoding: { ...layer.encoding, color: { field: "kind", type: "nominal", title: null, legend: { orient: "bottom", columns: 1 } } } })) },
    };
  }

  function curves(table, against) {
    const { name, lines } = table.curves, labels = Object.keys(lines), byCost = against === "cost";
    const digits = (value) => Number(value.toPrecision(4));
    const values = labels.flatMap((row) => lines[row][0].map((epoch, i) => ({ row, epoch, evaluations: lines[row][1][i],
      mean: digits(lines[row][2][i]), from: digits(lines[row][3][i]), to: digits(lines[row][4][i]) })));
    const logarithmic = values.every((value) => value.mean > 0), least = Math.min(...values.map((value) => value.mean));
    for (const value of values) value.edge = logarithmic ? Math.max(value.from, least / 2) : value.from;  // a band has to end
    const legend = { orient: "bottom", columns: labels.some((label) => label.length > 26) ? 1 : 2, labelLimit: 320, symbolType: "stroke", symbolStrokeWidth: 2.5 }, lined = { field: "row", type: "nominal", title: null, sort: null, legend };
    const color = { ...lined, scale: { domain: labels } };
    const dash = { ...lined, scale: { domain: labels, range: labels.map((_, i) => DASHES[Math.floor(i / COLORS.length) % DASHES.length]) } };
    const shown = values.map(({ edge, ...value }) => value);
    const x = { field: byCost ? "evaluations" : "epoch", type: "quantitative", title: byCost ? "Gradient evaluations" : "Epochs", scale: { nice: false } };
    const scale = logarithmic ? { type: "log", nice: false } : { zero: false };
    const y = (field) => ({ field, type: "quantitative", title: name, scale, axis: { tickCount: 6 } });
    const faded = (on, off, empty) => ({ condition: { param: "hover", empty, value: on }, value: off });
    return {
      caption: "Learning curves: mean and 95 % t-interval over seeds",
      choices: { Epochs: "epoch", "Gradient evaluations": "cost" },
      spec: { height: 280, data: { values }, encoding: { x, color },
        layer: [{ mark: { type: "area", tooltip: null }, encoding: { y: y("edge"), y2: { field: "to" }, opacity: faded(0.25, 0, false) } },
          { mark: { type: "line" }, encoding: { y: y("mean"), strokeDash: dash, opacity: faded(1, 0.15, true) } },
          { data: { values: shown }, params: [{ name: "hover", select: { type: "point", fields: ["row"], on: "pointerover", nearest: true, clear: "pointerout" } }],
            mark: { type: "point", filled: true, size: 30, tooltip: { content: "data" } }, encoding: { y: y("mean"), opacity: faded(0.6, 0, true) } }] },
    };
  }

  function pairs(table) {
    const labels = table.rows.map((row) => row.label), values = [], numbers = labels.map((_, i) => String(i + 1));
    const named = labels.map((label, i) => `${i + 1} ${label.length > 30 ? `${label.slice(0, 12)}…${label.slice(-16)}` : label}`);
    labels.forEach((row, i) => labels.forEach((column, j) => {
      const found = pair(table, i, j);
      if (found) values.push({ row, column, down: named[i], across: numbers[j], value: found.estimate, told: told(found), text: interval(found), how: how(found),
        says: told(found) ? `${row} has ${found.estimate < 0 ? "less" : "more"} error` : "not told apart" });
    }));
    const most = Math.max(0.01, ...values.map((one) => Math.abs(one.value))), line = dark.matches ? "#0d1117" : "#ffffff";
    const axis = { labelLimit: 210, ticks: false, domain: false }, size = Math.max(200, 17 * labels.length);
    return {
      caption: "Pairs: error of the row less that of the column, in points; columns have the numbers of the rows; blue is less error, grey is not told apart",
      spec: { height: size, data: { values },
        encoding: { y: { field: "down", type: "nominal", sort: named, title: null, axis }, x: { field: "across", type: "nominal", sort: numbers, title: null, axis: { ...axis, labelAngle: 0 } } },
        layer: [{ mark: { type: "rect", stroke: line, strokeWidth: 1, color: dark.matches ? "#484f58" : "#d0d7de" }, encoding: { tooltip:
            [{ field: "row" }, { field: "column" }, { field: "text", title: "difference, 95 %" }, { field: "says", title: "so" }, { field: "how", title: "taken" }] } },
          { transform: [{ filter: { field: "told", equal: true } }], mark: { type: "rect", stroke: line, strokeWidth: 1, tooltip: null }, encoding: { color: { field: "value", type: "quantitative", title: "points",
            scale: { domain: [-most, 0, most], range: ["#2166ac", dark.matches ? "#30363d" : "#f7f7f7", "#b2182b"], interpolate: "rgb" }, legend: { orient: "bottom", gradientLength: 160 } } } }] },
    };
  }

  function heat(found) {
    const values = found.errors.flatMap((line, i) => line.map((error, j) => ({ down: found.down[i], across: found.across[j], error,
      text: error === null ? "" : error.toFixed(2), spread: found.spreads[i][j] }))).filter((cell) => cell.error !== null);
    const middle = (Math.min(...values.map((cell) => cell.error)) + Math.max(...values.map((cell) => cell.error))) / 2;
    const [down, across] = found.names;
    return {
      caption: `${found.variant}: test error in percent over ${down} and ${across}; darker is less`,
      spec: { height: Math.max(120, 36 * found.down.length), data: { values },
        encoding: { y: { field: "down", type: "nominal", sort: found.down, title: down }, x: { field: "across", type: "nominal", sort: found.across, title: across, axis: { labelAngle: 0 } },
          tooltip: [{ field: "down", title: down }, { field: "across", title: across }, { field: "error", title: "error, %" }, { field: "spread", title: "±" }] },
        layer: [{ mark: "rect", encoding: { color: { field: "error", type: "quantitative", title: "error, %", scale: { range: ["#08306b", "#deebf7"] } } } },
          { mark: { type: "text", fontSize: 11 }, encoding: { text: { field: "text" }, color: { condition: { test: { field: "error", lt: middle }, value: "#ffffff" }, value: "#1f2328" } } }] },
    };
  }

  function measures(table, wanted) {
    const names = Object.keys(table.measures), name = wanted ?? names[0];
    const values = table.measures[name].map(([at, value, low, high, error]) => ({ row: table.rows[at].label, value, low, high, error }));
    const x = { field: "value", type: "quantitative", title: name, scale: { zero: false }, axis: { tickCount: 5 } };
    const y = { field: "error", type: "quantitative", title: "Test error, %", scale: { zero: false } };
    return {
      caption: "Measures of the trained networks against the error of the same runs; means with 95 % t-intervals of the measure",
      choices: Object.fromEntries(names.map((one) => [one, one])), chosen: name,
      spec: { height: 280, data: { values }, encoding: { y },
        layer: [{ mark: { type: "rule", opacity: 0.5 }, encoding: { x: { ...x, field: "low" }, x2: { field: "high" } } },
          { mark: { type: "point", size: 70, filled: true }, encoding: { x, tooltip: [{ field: "row" }, { field: "value", title: name }, { field: "low", title: "from" }, { field: "high", title: "to" }, { field: "error", title: "error, %" }] } },
          { mark: { type: "text", dy: -9, fontSize: 11 }, encoding: { x, text: { field: "row" } } }] },
    };
  }

  function curve(slice) {
    const values = ["train", "test"].flatMap((part) => slice.x.map((x, i) => ({ x, loss: slice[part][i], part })));
    return {
      caption: `${slice.title}, ${slice.about}`,
      spec: { height: 280, data: { values }, mark: { type: "line", tooltip: { content: "data" } }, encoding: {
        x: { field: "x", type: "quantitative", title: "Coordinate", scale: { nice: false } }, y: { field: "loss", type: "quantitative", title: "Loss, nats" },
        color: { field: "part", type: "nominal", title: null, sort: null, legend: { orient: "bottom" } }, strokeDash: { field: "part", type: "nominal", sort: null } } },
    };
  }

  function surface(figure, slice) {
    const here = (losses) => losses.filter((loss) => loss > 0), every = here([...slice.train, ...slice.test]);
    const part = figure.dataset.against ?? "train", losses = slice[part].map((loss) => (loss > 0 ? loss : null));
    const ends = [Math.min(...every), Math.max(...every)], own = losses[(losses.length - 1) / 2];
    const caption = `${slice.title}, ${slice.about}: ${part === "train" ? "training" : "test"} loss from ${Math.min(...here(losses))} to ${Math.max(...here(losses))} nats`;
    const canvas = make("canvas", { class: "surface", role: "img", tabindex: "0", "aria-label": `${caption}${own ? `, ${own} at the network` : ""}; arrow keys turn it` });
    const place = make("output", { class: "small" });
    const head = make("figcaption", {}, make("span", {}, caption), chooser(figure, "Loss", { Training: "train", Test: "test" }, part), place);
    figure.replaceChildren(head, canvas);
    const redraw = turnable(canvas, slice.points, losses, ends, (at) => {
      place.textContent = at === null ? "" : `${losses[at]} at ${slice.x[at]}, ${slice.x[Math.floor(at / slice.points)]}`;
    });
    redraw();
    ending.set(figure, redraw.end);
    figure.dataset.drawn = "surface";
  }

  function built(figure) {
    if (figure.dataset.slice) return curve(data.slices[figure.dataset.slice]);
    const table = data.tables[figure.dataset.table], kind = figure.dataset.plot;
    if (kind.startsWith("grid")) return heat(table.grids[Number(kind.slice(4))]);
    return { cost, curves, pairs, measures }[kind](table, figure.dataset.against);
  }

  function chooser(figure, label, choices, chosen) {
    const select = make("select", { "aria-label": label }, ...Object.entries(choices).map(([text, value]) =>
      make("option", { value, selected: value === chosen ? "" : null }, text)));
    select.addEventListener("change", () => { figure.dataset.against = select.value; draw(figure).then(() => figure.querySelector("select").focus()); });
    return select;
  }

  const ending = new WeakMap();  // figure -> what gives back the room and the listeners of its drawing

  async function draw(figure) {
    ending.get(figure)?.();
    ending.delete(figure);
    const slice = data.slices[figure.dataset.slice];
    if (slice?.points) return surface(figure, slice);
    const { caption, choices, chosen, spec } = built(figure), canvas = make("div", { class: "canvas" });
    const head = make("figcaption", {}, make("span", {}, caption));
    if (choices) head.append(chooser(figure, "Horizontal axis", choices, chosen ?? figure.dataset.against));
    figure.replaceChildren(head, canvas);
    const whole = { $schema: "https://vega.github.io/schema/vega-lite/v6.json", width: "container", autosize: { type: "fit-x", contains: "padding" },
      description: slice ? caption : `${caption}: ${data.tables[figure.dataset.table].title}`, ...spec };
    const drawn = await vegaEmbed(canvas, whole, { ast: true, actions: false, renderer: "canvas", defaultStyle: false, config: theme(), tooltip: { disableDefaultStyle: true } });
    ending.set(figure, () => drawn.finalize());
    figure.dataset.drawn = figure.dataset.plot ?? "curve";
  }

  // ---- downloads of a page that is one file

  async function download(name) {
    const packed = Uint8Array.from(atob(document.getElementById(`file-${name}`).textContent), (one) => one.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const address = URL.createObjectURL(await new Response(stream).blob());
    make("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }

  // ---- start

  for (const board of boards) {
    const id = board.closest("section").id;
    for (const head of board.tHead.rows[0].cells) {
      const text = head.textContent;
      head.replaceChildren(make("button", { type: "button", onclick: () => pressed(Number(head.dataset.c)) }, text));
    }
    for (const row of board.tBodies[0].rows) {
      const name = row.querySelector("th"), text = name.textContent;
      name.replaceChildren(make("button", { type: "button", "aria-haspopup": "dialog", onclick: () => openRow(id, Number(row.dataset.i)) }, text));
    }
  }
  const fit = FIT.find(([width]) => innerWidth < width)?.[1];
  if (fit) {
    for (const box of all("#columns input")) box.checked = fit.includes(Number(box.value));
    columns();
  }
  const controls = document.getElementById("controls");
  controls.hidden = false;
  // A table out of sight is not laid out, but keeps the place that it takes in sight: a page that shrinks when its end
  // is reached would move a button away between the press and the release.
  const tall = all("section.table").map((section) => [section, section.getBoundingClientRect().height]);
  for (const [section, height] of tall) section.style.containIntrinsicBlockSize = `auto ${height}px`;
  document.body.classList.add("measured");
  controls.addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["workload", "track", "filter"]) document.getElementById(id).addEventListener("input", choose);
  document.getElementById("columns").addEventListener("change", columns);
  for (const button of all("button[data-file]")) button.addEventListener("click", () => download(button.dataset.file));
  choose();
  addEventListener("hashchange", follow);
  document.addEventListener("click", clicked);
  dialog.addEventListener("close", closed);
  follow();
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      seen.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "200px" });
  for (const figure of all("figure[data-plot], figure[data-slice]")) seen.observe(figure);
  dark.addEventListener("change", () => all("figure[data-drawn]").forEach(draw));
})();
