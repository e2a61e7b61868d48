// The audit's page: contact sheet, view of one image, and the auditor's decisions. Everything that comes from
// a table is set as text, never as markup.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const images = data.images;
  const count = images.image_id.length;
  const metricOf = Object.fromEntries(data.metrics.map((metric) => [metric.name, metric]));
  const rankOf = new Map(data.order.map((image, rank) => [image, rank]));
  const KEPT = ["fault", "failed", "passed"];
  const FOLDER = "images/";
  const MISSING = "n/a";
  const COLUMNS = data.decisionColumns;
  const byId = (id) => document.getElementById(id);
  const spaced = (name) => name.replaceAll("_", " ");

  // --- small helpers ---------------------------------------------------------------------------------------
  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "text") element.textContent = value;
      else if (name === "class") element.className = value;
      else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  function makeSvg(tag, attributes, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function show(value) {
    if (value === null || value === undefined) return MISSING;
    if (typeof value !== "number") return String(value);
    return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)));
  }

  function picture(name, width, height, alt, className = "") {
    return make("img", {
      src: FOLDER + encodeURIComponent(name), width, height, alt, class: className, loading: "lazy", decoding: "async",
    });
  }

  function registered(image, alt, ...over) {
    const drawn = images.pictures[image].registered;
    if (!drawn) return null;
    const [width, height] = data.layout;
    const frame = make("span", { class: "cuts" }, picture(drawn[0], width, height, alt), ...over);
    frame.style.aspectRatio = `${width} / ${height}`;
    return frame;
  }

  const overlay = (name, className, alt = "") => picture(name, ...data.layout, alt, `over ${className}`);
  const isKept = (image) => KEPT.includes(images.fate[image]);

  // --- decisions -------------------------------------------------------------------------------------------
  // The browser may keep nothing for pages on a disk; decisions then last as long as the page is open.
  const store = {
    read() {
      try {
        return JSON.parse(localStorage.getItem(data.storageKey)) || {};
      } catch {
        return {};
      }
    },
    write(content) {
      try {
        localStorage.setItem(data.storageKey, JSON.stringify(content));
        return true;
      } catch {
        return false;
      }
    },
  };
  const isOfCohort = (row) => row.cohort === null || row.cohort === data.cohort;
  const isExact = (row, image) => isOfCohort(row) && row.participant_id === images.participant_id[image] &&
    row.session_id === images.session_id[image];

  // The decision that the study was run with: for this session, else for all of the participant's.
  function standing(image) {
    return data.decisions.find((row) => isExact(row, image)) ||
      data.decisions.find((row) => isOfCohort(row) && row.session_id === null &&
        row.participant_id === images.participant_id[image]) || null;
  }

  // A reason without a decision changes nothing where none stands.
  function isStanding(image, decision, reason) {
    const before = standing(image);
    if (!before) return !decision;
    return decision === (before.decision || "") && clean(reason) === clean(before.reason);
  }

  // Notes on images that are no longer there to decide on must not override the study's list.
  const stored = store.read();
  const own = new Map(images.image_id
    .map((id, image) => [id, (stored.decisions || {})[id], image])
    .filter(([, mine, image]) => mine && isKept(image) && !isStanding(image, mine.decision, mine.reason)));
  byId("rater").value = stored.rater || "";

  function save() {
    const kept = store.write({ rater: byId("rater").value, decisions: Object.fromEntries(own) });
    byId("message").textContent = kept ? "" :
      "This browser keeps no notes for pages on a disk: export your decisions before you close the page.";
    countDecisions();
  }

  function current(image) {
    const mine = own.get(images.image_id[image]);
    if (mine) return mine;
    const before = standing(image);
    return before ? { decision: before.decision || "", reason: before.reason || "" } : { decision: "", reason: "" };
  }

  function today() {
    const now = new Date();
    return [now.getFullYear(), now.getMonth() + 1, now.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
  }

  function decide(image, decision, reason) {
    const id = images.image_id[image];
    if (isStanding(image, decision, reason)) own.delete(id);
    else own.set(id, { decision, reason, who: byId("rater").value, date: today() });
    save();
  }

  function countDecisions() {
    const n = own.size;
    byId("decisions-count").textContent =
      `${data.decisions.length} decisions came with the study, ${n} ${n === 1 ? "is" : "are"} new or changed here.`;
  }

  // Tabs and line ends would break the table, and a quotation mark would start a quoted cell.
  function clean(text) {
    const plain = String(text ?? "").replace(/\s+/g, " ").replaceAll('"', "'").trim();
    return plain === "" ? MISSING : plain;
  }

  // The list that the study was run with, with what changed here in place of the old rows. A row for all of a
  // participant's sessions must not contradict one for a single session, so it is split when one of them changes.
  function exportRows() {
    const kept = images.image_id.map((id, image) => image).filter(isKept);
    const changed = kept.filter((image) => own.has(images.image_id[image]));
    const replaced = new Set(changed.map(standing).filter((row) => row !== null));
    const rows = data.decisions.filter((row) => !replaced.has(row));
    for (const image of kept.filter((each) => !changed.includes(each))) {
      const before = standing(image);
      if (replaced.has(before)) rows.push({ ...before, session_id: images.session_id[image] });
    }
    for (const image of changed) {
      const mine = own.get(images.image_id[image]);
      if (!mine.decision) continue;
      rows.push({
        cohort: data.cohort, participant_id: images.participant_id[image], session_id: images.session_id[image],
        decision: mine.decision, reason: clean(mine.reason) === MISSING ? "no reason given" : mine.reason,
        who: mine.who || byId("rater").value, date: mine.date,
      });
    }
    return [COLUMNS, ...rows.map((row) => COLUMNS.map((name) => clean(row[name])))];
  }

  function exportDecisions() {
    if (own.size && !byId("rater").value.trim()) {
      byId("message").textContent = "Please enter your name first: the study keeps who decided.";
      byId("rater").focus();
      return;
    }
    const text = exportRows().map((row) => row.join("\t")).join("\n") + "\n";
    const address = URL.createObjectURL(new Blob([text], { type: "text/tab-separated-values" }));
    make("a", { href: address, download: "exclude.tsv" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
    byId("message").textContent = "exclude.tsv was handed to the browser.";
  }

  // --- contact sheet ---------------------------------------------------------------------------------------
  const sheet = byId("sheet");
  const perPage = Number(sheet.dataset.perPage);
  let chosen = [];
  let page = 0;

  function fillSelect(select, entries) {
    select.replaceChildren(...entries.map(([value, text]) => make("option", { value, text })));
  }

  function fillFilters() {
    const tally = new Map();
    for (const fate of images.fate) tally.set(fate, (tally.get(fate) || 0) + 1);
    const fates = ["passed", "failed", "fault", "left out", "not converted"].filter((fate) => tally.has(fate));
    fillSelect(byId("status"), [
      ["kept", "all that were preprocessed"], ...fates.map((fate) => [fate, `${fate} (${tally.get(fate)})`]),
      ["", `all (${count})`],
    ]);
    for (const name of ["diagnosis", "site"]) {
      const values = [...new Set(images[name] || [])].map((value) => (value === null ? MISSING : String(value)));
      values.sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
      fillSelect(byId(name), [["", "all"], ...values.map((value) => [`=${value}`, value])]);
    }
    const sorts = [["worst", "worst first"], ["image", "image"]];
    for (const metric of data.metrics) {
      if (metric.median === undefined) continue;
      sorts.push([`+${metric.name}`, `${spaced(metric.name)}, lowest first`]);
      sorts.push([`-${metric.name}`, `${spaced(metric.name)}, highest first`]);
    }
    fillSelect(byId("sort"), sorts);
  }

  function choose() {
    const wanted = byId("search").value.trim().toLowerCase();
    const status = byId("status").value;
    const diagnosis = byId("diagnosis").value;
    const site = byId("site").value;
    const sort = byId("sort").value;
    const lowest = byId("lowest").value === "" ? -Infinity : Number(byId("lowest").value);
    const highest = byId("highest").value === "" ? Infinity : Number(byId("highest").value);
    const ranged = lowest > -Infinity || highest < Infinity;
    const metric = /^[+-]/.test(sort) ? sort.slice(1) : null;
    const values = metric ? data.values[metric] : images.score;
    byId("range-name").textContent = metric ? spaced(metric) : "Score";
    const matches = (image) =>
      (!wanted || images.image_id[image].toLowerCase().includes(wanted)) &&
      (status === "" || (status === "kept" ? isKept(image) : images.fate[image] === status)) &&
      (!diagnosis || diagnosis === `=${images.diagnosis[image] ?? MISSING}`) &&
      (!site || site === `=${images.site[image] ?? MISSING}`) &&
      (!ranged || (values[image] !== null && values[image] >= lowest && values[image] <= highest)) &&
      (!byId("flagged").checked || images.n_flags[image] > 0) &&
      (!byId("rated").checked || current(image).decision !== "");
    chosen = data.order.filter(matches);
    if (sort === "image") chosen.sort((a, b) => a - b);
    else if (metric) {
      const sign = sort[0] === "+" ? 1 : -1;
      chosen.sort((a, b) => {
        if (values[a] === null || values[b] === null) return (values[a] === null) - (values[b] === null);
        return sign * (values[a] - values[b]) || rankOf.get(a) - rankOf.get(b);
      });
    }
    showPage(0);
  }

  function showPage(number) {
    const pages = Math.max(1, Math.ceil(chosen.length / perPage));
    page = Math.min(Math.max(number, 0), pages - 1);
    const first = page * perPage;
    const part = chosen.slice(first, first + perPage);
    sheet.replaceChildren(...part.map(card));
    byId("found").textContent = chosen.length === 0 ? "No image fits. Show all again, or widen the choice." :
      `Images ${first + 1} to ${first + part.length} of ${chosen.length}`;
    for (const select of document.querySelectorAll(".page-number")) {
      fillSelect(select, Array.from({ length: pages }, (_, place) => [place, `${place + 1} of ${pages}`]));
      select.value = String(page);
    }
    for (const button of document.querySelectorAll(".previous-page")) button.disabled = page === 0;
    for (const button of document.querySelectorAll(".next-page")) button.disabled = page === pages - 1;
  }

  function facts(image) {
    const parts = [images.diagnosis[image] ?? "diagnosis unknown"];
    if (images.site && images.site[image] !== null) parts.push(`site ${images.site[image]}`);
    if (images.score[image] !== null) parts.push(`score ${show(images.score[image])}`);
    return parts.join(" · ");
  }

  function card(image) {
    const fate = images.fate[image];
    const id = images.image_id[image];
    const decision = current(image).decision;
    const cuts = registered(image, "", overlay("contour.svg", "contour")) ||
      make("span", { class: "no-picture", text: isKept(image) ? "No registered image" : "Not preprocessed" });
    return make("button", { type: "button", class: `card ${fate.replace(" ", "-")}`, "data-image": image, onclick: () => open(image) },
      cuts,
      make("span", { class: "line" }, make("span", { class: "name", text: id }), make("span", { class: `badge ${fate}`, text: fate })),
      make("span", { class: "line" }, make("span", { class: "text quiet", text: facts(image) }),
        decision ? make("span", { class: `decided ${decision}`, text: `decision: ${decision}` }) : null),
      images.flags[image] ? make("span", { class: "flags", text: `Flags: ${images.flags[image]}` }) : null,
      images.why[image] && fate !== "passed" ? make("span", { class: "why", text: images.why[image] }) : null);
  }

  // --- one image -------------------------------------------------------------------------------------------
  const detail = byId("detail");
  let shown = null;
  let line = [];
  let flicker = null;

  function open(image, among = chosen) {
    line = among.includes(image) ? among : [image];
    draw(image);
    if (!detail.open) detail.showModal();
    byId("close").focus();
  }

  function step(by) {
    const place = line.indexOf(shown) + by;
    if (place >= 0 && place < line.length) draw(line[place]);
  }

  function draw(image) {
    stopFlicker();
    shown = image;
    const fate = images.fate[image];
    const place = line.indexOf(image);
    byId("detail-title").textContent = images.image_id[image];
    byId("detail-badge").textContent = fate;
    byId("detail-badge").className = `badge ${fate}`;
    byId("detail-place").textContent = `${place + 1} of ${line.length}`;
    byId("previous").disabled = place === 0;
    byId("next").disabled = place === line.length - 1;
    drawRating(image);
    byId("pictures").replaceChildren(...drawPictures(image));
    byId("facts").replaceChildren(...drawFacts(image));
    detail.scrollTop = 0;
  }

  function drawRating(image) {
    const now = current(image);
    const before = standing(image);
    for (const input of byId("rating").elements) input.disabled = !isKept(image);
    for (const input of document.querySelectorAll('[name="decision"]')) input.checked = input.value === now.decision;
    byId("reason").value = now.reason;
    let words = "";
    if (!isKept(image)) words = "The image was not preprocessed, so there is nothing to decide here.";
    else if (before) {
      const people = [before.who, before.date].filter(Boolean).join(", ");
      words = `In the study: ${before.decision || MISSING}, ${before.reason || "no reason given"}${people ? ` (${people})` : ""}.`;
      if (before.session_id === null) words += " It was made for all of the participant's sessions.";
    }
    byId("standing").textContent = words;
  }

  function rate(decision) {
    if (shown === null || !isKept(shown)) return;
    const reason = byId("reason").value;
    decide(shown, decision, reason);
    drawRating(shown);
    byId("reason").value = reason; // also one that was typed before the decision
    refreshCard(shown);
  }

  function refreshCard(image) {
    const old = sheet.querySelector(`[data-image="${image}"]`);
    if (old) old.replaceWith(card(image));
  }

  function drawPictures(image) {
    const pictures = images.pictures[image];
    const id = images.image_id[image];
    const parts = [];
    if (pictures.registered) {
      const template = overlay("template.webp", "template", "Template, the same cuts");
      const contour = overlay("contour.svg", "contour hidden");
      const frame = registered(image, `${id} registered: axial, coronal and sagittal cut`, template, contour);
      frame.id = "flicker-frame";
      frame.addEventListener("mouseenter", () => swap(true));
      frame.addEventListener("mouseleave", () => swap(false));
      parts.push(make("h3", { text: "Registration" }), make("figure", {}, frame, make("figcaption", { id: "flicker-name", role: "status" })),
        make("div", { class: "tools" },
          make("button", { type: "button", id: "swap", "aria-pressed": "false", text: "Show the template (T)", onclick: () => swap() }),
          make("button", { type: "button", id: "flicker", "aria-pressed": "false", text: "Flicker", onclick: toggleFlicker }),
          make("button", { type: "button", id: "contour", "aria-pressed": "false", text: "Contour (C)", onclick: toggleContour })));
      parts.push(make("h3", { text: "Crop box on the uncropped image" }),
        make("figure", {}, registered(image, `${id} registered, with the crop box`, overlay("crop.svg", "crop")),
          make("figcaption", { text: "What is red is cut off." })));
    }
    const native = [["before", "Before N4"], ["after", "After N4"], ["field", "Bias field"]].filter(([kind]) => pictures[kind]);
    if (native.length) parts.push(make("h3", { text: "Bias field correction, in the scan's own space" }));
    for (const [kind, title] of native) {
      const [name, width, height] = pictures[kind];
      const frame = make("span", { class: "cuts" }, picture(name, width, height, `${id}: ${title}`));
      frame.style.aspectRatio = `${width} / ${height}`;
      parts.push(make("figure", {}, frame, make("figcaption", { text: `${title}.` })));
    }
    if (pictures.field) parts.push(byId("field-scale").content.cloneNode(true));
    if (!parts.length) parts.push(make("p", { class: "no-picture", text: "There are no pictures of this image." }));
    queueMicrotask(() => swap(false));
    return parts;
  }

  function swap(on) {
    const template = detail.querySelector("img.template");
    if (!template) return;
    const now = on === undefined ? template.style.opacity !== "1" : on;
    template.style.opacity = now ? "1" : "0";
    byId("swap").setAttribute("aria-pressed", String(now));
    byId("flicker-name").textContent = now ? "Template." : "Registered image. Point at it to see the template.";
  }

  function toggleFlicker() {
    if (flicker !== null) return stopFlicker();
    flicker = setInterval(() => swap(), 500);
    byId("flicker").setAttribute("aria-pressed", "true");
  }

  function stopFlicker() {
    if (flicker === null) return;
    clearInterval(flicker);
    flicker = null;
    swap(false);
    byId("flicker")?.setAttribute("aria-pressed", "false");
  }

  function toggleContour() {
    const contour = detail.querySelector("img.contour");
    if (!contour) return;
    const hidden = contour.classList.toggle("hidden");
    byId("contour").setAttribute("aria-pressed", String(!hidden));
  }

  function definitions(entries) {
    return make("dl", {}, ...entries.flatMap(([name, value, changed]) => [
      make("dt", { text: name }), make("dd", { text: value, class: changed ? "changed" : null })]));
  }

  function drawFacts(image) {
    const parts = [];
    const fate = images.fate[image];
    if (images.why[image]) parts.push(make("p", { class: fate === "passed" ? "why good" : "why", text: images.why[image] }));
    for (const reason of new Set(Object.values(images.faults[image]))) {
      if (reason !== images.why[image]) parts.push(make("p", { class: "why", text: reason }));
    }
    if (images.flags[image]) parts.push(make("p", { class: "flags", text: `Flags: ${images.flags[image]}` }));
    const names = { participant_id: "participant", session_id: "session", diagnosis: "diagnosis", age: "age", sex: "sex", site: "site", field_strength: "field strength (T)" };
    parts.push(definitions(Object.entries(names).filter(([name]) => images[name]).map(([name, text]) => [text, show(images[name][image])])));
    const rows = data.metrics.filter((metric) => data.values[metric.name][image] !== null).map((metric) => metricRow(metric, image));
    if (rows.length) {
      const heads = ["Metric", "Value", "Median", "Position", "In the cohort"].map((text) => make("th", { scope: "col", text }));
      parts.push(make("h3", { text: "Metrics" }), make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Metrics" },
        make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows))));
    }
    parts.push(...drawParticipant(image), ...drawFiles(image), ...drawParameters(image));
    return parts;
  }

  function drawParticipant(image) {
    const name = images.participant_id[image];
    const own = images.participant_id.flatMap((other, place) => other === name ? [place] : []);
    const parts = [make("h3", { text: "All of this participant" }), make("dl", {}, ...own.flatMap((place) => [
      make("dt", { text: images.image_id[place] }),
      make("dd", { class: place === image ? "changed" : null },
        make("div", { text: images.why[place] ?? images.fate[place] }),
        make("div", { class: "quiet", text: images.file[place] ?? "no file" }))]))];
    const cells = data.cells[name] ?? [];
    if (cells.length) {
      parts.push(make("h3", { text: "Cells that were not used as they stand" }),
        definitions(cells.map(([table, variable, value, outcome]) => [`${variable} (${table})`, `${value}: ${outcome}`, false])));
    }
    return parts;
  }

  function metricRow(metric, image) {
    const value = data.values[metric.name][image];
    const position = data.positions[metric.name]?.[image] ?? null;
    const [lower, upper] = metric.fences;
    const out = (metric.threshold !== null && value < metric.threshold) || (lower !== null && value < lower) || (upper !== null && value > upper);
    const words = position === null ? MISSING : `${position < 0 ? "−" : "+"}${Math.abs(position).toFixed(1)} SD`;
    return make("tr", { class: out ? "out" : null, title: metric.meaning },
      make("th", { scope: "row", text: spaced(metric.name) + (metric.unit ? ` (${metric.unit})` : "") + (out ? " (out)" : "") }),
      make("td", { text: show(value) }), make("td", { text: show(metric.median) }), make("td", { text: words }),
      make("td", {}, strip(metric, value)));
  }

  function strip(metric, value) {
    const width = metric.high - metric.low || 1;
    const x = (number) => 6 + 100 * (number - metric.low) / width;
    return makeSvg("svg", { class: "strip", viewBox: "0 0 112 16", "aria-hidden": "true" },
      makeSvg("path", { class: "axis", d: "M6 8H106" }),
      makeSvg("path", { class: "median", d: `M${x(metric.median)} 3V13` }),
      makeSvg("circle", { class: "value", cx: x(value), cy: 8, r: 4.5 }));
  }

  function drawFiles(image) {
    const rows = data.files[images.image_id[image]] ?? [];
    if (!rows.length) return [];
    return [make("h3", { text: "Files and checksums (SHA-256)" }), make("dl", {}, ...rows.flatMap(([name, path, sha256]) => [
      make("dt", { text: name }),
      make("dd", { class: "hash" }, make("div", { text: path ?? MISSING }), make("div", { class: "quiet", text: sha256 ?? "no content" }))]))];
  }

  function drawParameters(image) {
    const nested = (name) => name.replaceAll(".", " › "); // so that a line can break there
    if (!isKept(image)) return [];
    const parts = [make("h3", { text: "Parameters and software" })];
    for (const { title, common, different } of data.parameters) {
      const mine = different[image] || {};
      const entries = Object.entries(common).filter(([name]) => mine[name] === undefined).map(([name, value]) => [nested(name), value, false]);
      for (const [name, value] of Object.entries(mine)) entries.push([`${nested(name)} (this image)`, value ?? "not recorded", true]);
      parts.push(make("details", {}, make("summary", { text: title }),
        make("p", { class: "quiet", text: "What is marked is this image's own; the rest is the same for most images. “…” stands for an element that differs." }),
        definitions(entries)));
    }
    return parts;
  }

  // --- events ----------------------------------------------------------------------------------------------
  byId("filters").addEventListener("input", choose);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () => setTimeout(() => { setContours(); choose(); }));
  const setContours = () => sheet.classList.toggle("hide-contours", !byId("contours").checked);
  byId("contours").addEventListener("change", setContours);
  for (const select of document.querySelectorAll(".page-number")) select.addEventListener("change", () => turn(Number(select.value)));
  for (const button of document.querySelectorAll(".previous-page")) button.addEventListener("click", () => turn(page - 1));
  for (const button of document.querySelectorAll(".next-page")) button.addEventListener("click", () => turn(page + 1));
  function turn(number) {
    showPage(number);
    byId("found").scrollIntoView({ block: "nearest" });
  }

  byId("rater").addEventListener("change", save);
  byId("export").addEventListener("click", exportDecisions);
  byId("rating").addEventListener("submit", (event) => event.preventDefault());
  byId("rating").addEventListener("change", () => rate(document.querySelector('[name="decision"]:checked')?.value || ""));
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => detail.close());
  detail.addEventListener("close", () => {
    stopFlicker();
    sheet.querySelector(`[data-image="${shown}"]`)?.focus();
  });
  detail.addEventListener("keydown", (event) => {
    if (event.target.matches('input[type="text"]') || event.ctrlKey || event.metaKey || event.altKey) return;
    const action = {
      ArrowLeft: () => step(-1), ArrowRight: () => step(1), k: () => rate("keep"), x: () => rate("exclude"),
      u: () => rate(""), t: () => swap(), c: toggleContour,
    }[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  for (const details of document.querySelectorAll("[data-event]")) {
    details.addEventListener("toggle", () => {
      const list = details.querySelector(".ids");
      if (!details.open || list.childElementCount) return;
      const members = data.events[Number(details.dataset.event)];
      list.replaceChildren(...members.map((image) => make("button", { type: "button", text: images.image_id[image], onclick: () => open(image, members) })));
    });
  }

  fillFilters();
  countDecisions();
  choose();
  document.documentElement.dataset.ready = "true";
})();
