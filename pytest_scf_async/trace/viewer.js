// Shows the trace of one test: builds all of <body> from the JSON in #trace, whose texts are hostile, as log lines are.
//
// Times are µs of simulated time after the trace's origin. An "item" is a line of the log: a wait, a signal, or another
// entry of an event. One item is chosen, and its key is in location.hash.
(() => {
"use strict";
const { abs, ceil, floor, max, min, round } = Math;
let ui; // the elements that change
let needle = ""; // what is searched for

// -- texts --

const ANSI = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])/g;
const HIDDEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
// Colour codes go; what is invisible, or turns the direction of text, is shown as its number.
const clean = (text) => `${text ?? ""}`.replace(ANSI, "").replaceAll("\r\n", "\n").replace(HIDDEN, (c) => `‹${c.charCodeAt(0).toString(16)}›`);
const brief = (text, most = 2000) =>
	clean(`${text ?? ""}`.slice(0, most)).replaceAll("\n", " ⏎ ").replaceAll("\t", "  ") + (text?.length > most ? "…" : "");
const { format } = new Intl.NumberFormat("en", { maximumFractionDigits: 6 });
const count = (n, noun) => `${format(n)} ${noun}${n === 1 ? "" : "s"}`;
const seconds = (us) => `${format(us / 1e6)} s`;
const since = (us) => `+${seconds(us)}`;
const duration = (us) => {
	if (us < 1e6) return us < 1e3 ? `${us} µs` : `${format(us / 1e3)} ms`;
	return us < 3.6e9 || us % 3.6e8 ? seconds(us) : `${format(us / 3.6e9)} h`;
};

const marked = (text, tag) => {
	const nodes = [];
	let from = 0;
	for (let at; needle && tag !== "mark" && nodes.length < 99 && (at = text.toLowerCase().indexOf(needle, from)) >= 0; from = at + needle.length)
		nodes.push(text.slice(from, at), el("mark", text.slice(at, at + needle.length)));
	return [...nodes, text.slice(from)];
};

// An element: el("p.bad", {title: "…"}, child, …). Text of the trace gets into the page here alone, as text, with the
// matches of the search marked.
const el = (name, ...children) => {
	const [tag, ...classes] = name.split(".");
	const node = document.createElement(tag);
	node.classList.add(...classes);
	if (children[0]?.constructor === Object)
		for (const [key, value] of Object.entries(children.shift()))
			if (typeof value === "function") node.addEventListener(key, value);
			else node.setAttribute(key, clean(value));
	for (const child of children.flat(9))
		if (child instanceof Node) node.append(child);
		else if (child) node.append(...marked(tag === "pre" ? clean(child) : brief(child), tag));
	return node;
};
const turn = (set, value) => set.delete(value) || set.add(value);
const px = (n) => `${n}px`;
const fill = (node, ...children) => node.replaceChildren(...el(node.localName, ...children).childNodes);
const button = (text, click, more) => el("button", { click, ...more }, text);
// Tabs: the Tab key reaches the selected one, and the arrow keys the others.
const tabList = (label, panel, texts, chosen, open) =>
	el("div.files", { role: "tablist", "aria-label": label, keydown: stepTab }, texts.map((text, i) => button(text, () => open(i, text), { role: "tab", "aria-controls": panel, "aria-selected": i === chosen, tabindex: (i === chosen) - 1 })));
function stepTab(event) {
	const { children } = event.currentTarget;
	const at = [...children].indexOf(event.target);
	const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: -1 }[event.key];
	if (to === undefined) return;
	const tab = children[(to + children.length) % children.length];
	event.preventDefault();
	tab.focus();
	tab.click();
}
const fact = (name, ...values) => [el("dt", name), el("dd", values)];
const table = (heads, rows) =>
	el("table", el("tr", heads.map((it) => el("th", it))), rows.map((row) => el("tr", row.map((it) => el("td", it)))));

// -- the data --

let trace = {};
try {
	trace = JSON.parse(document.getElementById("trace").textContent);
} catch {}
if (trace.version !== 1)
	return document.body.append(el("p", `This viewer reads traces of version 1, not ${trace.version ?? "what is here"}: run the test again.`));
const { events, lanes, instances, places, files, texts, sweeps } = trace;

const absolute = (us) => {
	const at = trace.origin_us + us + trace.zone_minutes * 6e7;
	return `${new Date(floor(at / 1e3)).toISOString().slice(0, 23).replace("T", " ")}${`${at % 1e3}`.padStart(3, 0)} ${trace.zone}`;
};
const placeText = (place) => (place ? `${place[0]}:${place[1]}` : "");
const laneName = (lane) => lanes[lane]?.name ?? "";
const waitText = ([, , , text, place, times, latest]) =>
	texts[text] + (places[place] ? ` at ${placeText(places[place])}` : "") + (times > 1 ? ` (${format(times)} times, until ${since(latest)})` : "");

const items = [];
const byKey = new Map();
const waitsOf = lanes.map(() => []);
const marksOf = {}; // by row, "e0" or "l3": its other items
const reals = []; // items of which it is known when they came in real time
const waitedAt = {}; // by "file:line": how often
let last = max(1, ...instances.map((it) => it.end ?? 0));

events.forEach((event, e) => {
	event.name = `${event.function} ${event.id.slice(0, 8)}`;
	const { entries, waits, signals } = event;
	const stop = event.end ?? max(event.begin, entries.at(-1)?.[0] ?? 0, waits.at(-1)?.[6] ?? 0);
	const unseen = new Set(signals);
	let fold = 0;
	let next = 0;
	const add = (key, t, kind, text, lane, place, more) =>
		items.push({ key: `e${e}${key}`, t, end: t, event, row: lane === null ? `e${e}` : `l${lane}`, kind, text, lane: lane ?? -1, place: places[place], ...more });
	const addWaits = (isDue) => {
		for (; next < waits.length && isDue(waits[next]); next++) {
			const [t, end, lane, , place, times] = waits[next];
			const key = places[place] && `${places[place][2]}:${places[place][1]}`;
			waitedAt[key] = (waitedAt[key] ?? 0) + times;
			add(`w${next}`, t, "wait", waitText(waits[next]), lane, place, { wait: waits[next], end: end ?? stop });
		}
	};
	entries.forEach(([t, kind, text, lane, place, real], i) => {
		addWaits((wait) => (wait[8] == null ? wait[0] < t : wait[8] <= i));
		while (event.fold[fold]?.[1] < i) fold++;
		const signal = kind === "signal" && signals.find((it) => it.sent === t && unseen.delete(it));
		add(signal ? `s${signals.indexOf(signal)}` : `l${i}`, t, kind, text, lane, place, { real, signal, fold: event.fold[fold]?.[0] <= i && event.fold[fold] });
	});
	addWaits(() => true);
	last = max(last, stop);
});
items.sort((a, b) => a.t - b.t);
items.forEach((item, i) => {
	item.i = i;
	byKey.set(item.key, item);
	last = max(last, item.end);
	if (item.wait) return waitsOf[item.lane].push(item);
	if (item.real != null) reals.push(item);
	(marksOf[item.row] ??= []).push(item);
});

// The first index of the sorted *list*, from *low* on, of which *of* is *value* or more.
const find = (list, value, low = 0, of = (it) => it) => {
	for (let high = list.length; low < high; ) {
		const middle = (low + high) >> 1;
		if (of(list[middle]) < value) low = middle + 1;
		else high = middle;
	}
	return low;
};
const findTime = (list, t, low) => find(list, t, low, (item) => item.t);
const waitAt = (lane, t) => {
	const item = waitsOf[lane]?.[findTime(waitsOf[lane], t + 1) - 1];
	return item?.end >= t && item;
};

const realText = (t, { real } = reals[findTime(reals, t + 1) - 1] ?? {}) => (real == null ? "" : ` · real ${duration(+real.toPrecision(3))}`);

// -- the axis: time in units, of which idle time has fewer --

const ends = [...events, ...instances].flatMap((it) => [it.begin, it.end ?? last]);
const points = new Float64Array(new Set([0, last, ...ends, ...items.flatMap((item) => [item.t, item.end])])).sort();
const units = new Float64Array(points.length);
let folds = []; // the section i is from points[i - 1] to points[i]
let isFolding = true;
let total = 1;

function layAxis() {
	const gaps = points.slice(1).map((point, i) => point - points[i]);
	const sorted = gaps.filter((gap) => gap > 20).sort(); // less is the order of calls
	const usual = sorted[floor((sorted.length - 1) * (sorted.length < 60 ? 0.25 : 0.5))];
	const limit = isFolding && usual < last * 0.008 ? usual * 5 : Infinity;
	const long = gaps.filter((gap) => gap > limit);
	// Folded sections together take a quarter of the axis at least, so that what lies in them can be seen.
	const share = (last - long.reduce((sum, gap) => sum + gap, 0)) / long.length / 3;
	folds = [];
	gaps.forEach((gap, i) => {
		const size = gap > limit ? min(gap, max(share, limit * (1 + Math.log(gap / limit) / 4))) : gap;
		if (size < gap) folds.push(i + 1);
		units[i + 1] = units[i] + size;
	});
	total = units.at(-1) || 1;
}
const map = (from, to, value) => {
	const i = min(max(find(from, value), 1), from.length - 1);
	return to[i - 1] + ((value - from[i - 1]) * (to[i] - to[i - 1])) / (from[i] - from[i - 1]);
};

// -- the selection --

let chosen = null; // an item
let lit = new Set(); // the waits that belong to it
const laneOf = (item) => (item.lane >= 0 ? item.lane : lanes.findIndex((lane) => lane.instance === item.event.instance && lane.kind === "main"));

// What a reader looks for first.
const weight = ({ why, status }) => 2 * (why.length > 0) + (status !== "FINISHED");
const told = events.toSorted((a, b) => weight(b) - weight(a))[0];
function answer() {
	const own = items.filter((item) => item.event === told);
	const said = [trace.headline, ...(told?.why ?? [])].join();
	const rank = ({ place, wait }) => 2 * said.includes(placeText(place) || "\n") + (wait[7] !== null);
	const stuck = own.filter((item) => item.wait && item.end >= (told.end ?? last)).sort((a, b) => rank(b) - rank(a));
	return (
		(told?.code !== 433 && own.findLast((item) => item.signal)) ||
		own.findLast(({ kind, text }) => kind === "log" && text.length > 12 && said.includes(text)) ||
		stuck[0] || own.findLast((item) => item.wait) || own.at(-1)
	);
}

// Steps of the keyboard replace the last entry of the browser's history, clicks add one.
function choose(item, isStep, isSilent) {
	if (!item) return;
	chosen = item;
	const during = item.signal || item.wait ? item.wait && item : waitAt(laneOf(item), item.t);
	lit = new Set(during ? [during] : []);
	for (const [, index] of item.signal?.waits ?? []) lit.add(byKey.get(item.key.replace(/s.*/, `w${index}`)));
	if (!isSilent && isStep) location.replace("#" + item.key);
	else if (!isSilent) location.hash = item.key;
	if (item.fold && !opened.has(item.fold) && !filter) turnFold(item.fold);
	reveal(ui.log, rowOf(item) * ROW, 2 * ROW);
	drawLog();
	showDetail(item);
	const seen = [item, ...lit].find((it) => it.place);
	if (seen) showPlace(seen.place);
	if (tab !== "Source") openTab(tab);
	showInLanes(item);
}

// -- search --

let hits = []; // items, then [file, line]; of a sweep elements
let hit = -1;
let hitItems = new Set();

const has = (text, part = needle) => clean(text).toLowerCase().includes(part);
function search(text) {
	needle = clean(text).toLowerCase();
	hit = -1;
	if (ui.main.hidden) return showSweep();
	hits = needle ? items.filter((item) => has(item.text) || has(laneName(item.lane))) : [];
	hitItems = new Set(hits);
	if (needle) files.forEach((file, f) => file.lines.forEach((line, i) => has(line) && hits.push([f, file.first + i])));
	sayHits();
	drawLog();
	if (chosen) showDetail(chosen);
	openTab(tab);
	redraw();
}
function sayHits() {
	const where = `${hit < 0 ? "" : `${hit + 1} of `}${count(hits.length, "hit")}${ui.main.hidden ? "" : ` (log ${hitItems.size}, source ${hits.length - hitItems.size})`}`;
	ui.hits.textContent = needle && (hits.length ? where : "no match");
}
function nextHit(by) {
	const { length } = hits;
	if (!length) return;
	if (hit < 0) hit = max(0, hits.findIndex((it) => it.length || it.i >= chosen?.i)) - (by > 0);
	hit = (hit + by + length) % length;
	const next = hits[hit];
	if (next.length) {
		openTab("Source");
		showPlace([null, next[1], next[0]]);
	} else if (next.key) choose(next, true);
	else {
		ui.sweep.querySelector(".now")?.classList.remove("now");
		next.classList.add("now");
		next.closest("details")?.setAttribute("open", "");
		next.scrollIntoView({ block: "center" });
	}
	sayHits();
}

// -- the log: only the rows that are seen are elements --

const ROW = 21;
const hidden = new Set(); // kinds
const opened = new Set(); // folded runs of lines
let filter = "";
let rows = []; // items, and heads of folded runs: {i, t, fold, isHead}
const rowOf = (item) => find(rows, item?.i, 0, (it) => it.i);

function layLog() {
	const { scrollTop } = ui.log;
	const anchor = rows[floor(scrollTop / ROW)];
	const heads = new Set();
	rows = [];
	for (const item of items) {
		if (hidden.has(item.kind) || (filter && !has(item.text, filter))) continue;
		if (item.fold && !filter) {
			if (!heads.has(item.fold)) rows.push({ i: item.i - 0.5, t: item.t, fold: item.fold, isHead: true });
			heads.add(item.fold);
			if (!opened.has(item.fold)) continue;
		}
		rows.push(item);
	}
	ui.logSize.style.height = px(rows.length * ROW);
	if (anchor) ui.log.scrollTop = rowOf(anchor) * ROW + (scrollTop % ROW);
	drawLog();
}
function turnFold(fold) {
	turn(opened, fold);
	layLog();
}
function logRow(item, row) {
	const { isHead, fold, kind, event } = item;
	const cells = isHead
		? [el("span.kind", opened.has(fold) ? "▾" : "▸ …"), el("span", fold[2])]
		: [el("span.kind", kind), events.length > 1 && el("span.lane", event.name), lanes.length > 1 && el("span.lane", laneName(item.lane)), el("span", item.text)];
	const name = isHead ? ".fold" : /^\w+$/.test(kind) ? `.k-${kind}` : "";
	const node = el(`div.row${name}${item === chosen ? ".chosen" : ""}${lit.has(item) ? ".lit" : ""}`, {
		role: "option", id: `row${row}`, "aria-setsize": rows.length, "aria-posinset": row + 1, "aria-selected": item === chosen,
		click: () => (isHead ? turnFold(fold) : choose(item)),
	}, el("span.time", since(item.t)), cells, el("span.real", isHead ? "" : realText(item.t, item)));
	node.style.top = px(row * ROW);
	return node;
}
function drawLog() {
	const first = max(0, floor(ui.log.scrollTop / ROW) - 5);
	const shown = rows.slice(first, first + ceil(ui.log.clientHeight / ROW) + 10);
	fill(ui.logSize, shown.map((item, i) => logRow(item, first + i)));
	ui.log.setAttribute("aria-activedescendant", `row${rowOf(chosen)}`);
	ui.none.hidden = rows.length > 0;
}
// Scroll *pane* unless what is *at* px in it can be seen.
const reveal = (pane, at, room) => {
	if (at < pane.scrollTop || at > pane.scrollTop + pane.clientHeight - room) pane.scrollTop = at - pane.clientHeight * 0.4;
};
function step(by) {
	let row = rowOf(chosen);
	do row += by;
	while (rows[row]?.isHead);
	choose(rows[row], true);
}
function stepWait(by) {
	const list = waitsOf[laneOf(chosen)] ?? [];
	choose(list[(chosen.wait ? list.indexOf(chosen) : findTime(list, chosen.t + 1) - (by > 0)) + by], true);
}

// -- lanes: only what is seen are elements --

const LINE = 24;
let wide = 1; // px
let lines = []; // {row, group, depth, text, draw}
const closed = new Set(); // groups
let left = 0; // units
let scale = 1; // px a unit
let from = 0; // the times at both edges
let to = 0;
let isDue = false;

function layLanes() {
	lines = [];
	const add = (row, depth, text, draw, group) => lines.push({ row, depth, text, draw, group }) && !closed.has(group);
	const addEvents = (depth, test) =>
		events.forEach((event, e) => test(event) && add(`e${e}`, depth, `event ${event.id.slice(0, 8)}`, () => drawEvent(event)));
	const addLanes = (depth, instance, parent) =>
		lanes.forEach((lane, l) => {
			if (lane.instance !== instance || lane.parent !== parent) return;
			add(`l${l}`, depth, lane.name === lane.kind ? lane.name : `${lane.name} (${lane.kind})`, () => drawLane(l));
			addLanes(depth + 1, instance, l);
		});
	addEvents(0, (event) => event.instance === null);
	addLanes(0, null, null);
	instances.forEach((it, i) => {
		if (!add("", 0, `${it.function}: ${it.name}`, () => drawInstance(i), `i${i}`)) return;
		addEvents(1, (event) => event.instance === i);
		addLanes(1, i, null);
	});
	ui.lines.style.height = px(lines.length * LINE);
	redraw();
}
const X = (t) => (map(points, units, t) - left) * scale;
const T = (x) => map(units, points, left + x / scale);
function look(unit, newScale = scale) {
	left = unit;
	scale = newScale;
	redraw();
}
function lookAtAll() {
	wide = ui.axis.clientWidth;
	const all = max(1, wide - 150) / total;
	look(-12 / all, all);
}
function zoom(factor, x = wide / 2) {
	const next = min(max(scale * factor, 20 / total), 1e3);
	look(left + x / scale - x / next, next);
}
const pan = (by) => look(left + by / scale);
function showInLanes(item) {
	const at = lines.findIndex((line) => line.row === item.row);
	if (at >= 0) reveal(ui.lanes, at * LINE, LINE + ui.axis.offsetHeight);
	if (X(item.end) < 0 || X(item.t) > wide) pan(X(item.t) - wide / 2);
	redraw();
}
function redraw() {
	if (!isDue) requestAnimationFrame(draw);
	isDue = true;
}

// A piece of a line, from *a* to *b* px.
const piece = (name, a, b, text, item) => {
	const node = el(name, text);
	const start = max(a, -2);
	node.item = item;
	node.style.left = px(start);
	node.style.width = px(max(min(b, wide + 9) - start, 0));
	return node;
};
const MARKS = { __proto__: null, record: "◆", gate: "‖", log: "❘", instance: "●" };

function draw() {
	isDue = false;
	if (ui.main.hidden) return;
	from = T(0);
	to = T(wide);
	const gaps = [];
	for (let f = find(folds, find(points, from)); f < folds.length && points[folds[f] - 1] <= to; f++) gaps.push([points[folds[f] - 1], points[folds[f]]]);
	const first = floor(ui.lanes.scrollTop / LINE);
	const shown = lines.slice(first, first + ceil(ui.lanes.clientHeight / LINE) + 1).map((line, i) => drawLine(line, first + i));
	const cursor = chosen && !chosen.signal && !chosen.wait && piece("i.cursor", X(chosen.t), X(chosen.t) + 1);
	const lineOf = (item) => piece(`i.cursor.sent${item === chosen ? ".chosen" : ""}`, X(item.t), X(item.t) + 2, "", item);
	fill(ui.lines, el("div.over", gaps.map(([a, b]) => piece("i.gap", X(a), X(b)))), shown, el("div.over", cursor, signals.map(lineOf)));
	fill(ui.axis, drawAxis(gaps), signals.map((item) => piece("b.signal", X(item.t) - 5, 1e4, `▼ SIGTERM: ${item.signal.disposition}`, item)));
}
function drawAxis(gaps) {
	const taken = [];
	const label = (text, a, b = a) => {
		const at = (a + b) / 2;
		const half = text.length * 3.5 + 5;
		if (at < half - 15 || taken.some(([other, room]) => abs(other - at) < room + half)) return "";
		taken.push([at, half]);
		return el("span", text);
	};
	const said = {}; // by what is known of real time: the first label with it
	const tick = (t) => {
		const real = realText(t);
		return piece("i.tick", X(t), X(t), (!said[real] && (said[real] = label(seconds(t) + real, X(t)))) || label(seconds(t), X(t)));
	};
	// Between folded sections time is to scale: ticks at both ends, and at round times.
	let begin = max(from, 0);
	const runs = [...gaps.map(([a, b]) => [begin, a, (begin = b)]), [begin, min(to, last)]];
	const ticks = runs.filter(([a]) => a !== from).map(([a]) => tick(round(a)));
	const folded = gaps.map(([begin, end]) => {
		const text = `⟨ ${duration(+(end - begin).toPrecision(3))} ⟩`;
		const [a, b] = [max(X(begin), 0), min(X(end), wide)];
		return piece("i.gap", a, b, b - a > text.length * 7 + 8 && label(text, a, b));
	});
	for (const [a, b] of runs) {
		const room = X(b) - X(a);
		let by = 1;
		for (let i = 1; (by / (b - a)) * room < 95; i++) by = [1, 2, 5][i % 3] * 10 ** floor(i / 3);
		if (room > 50) for (let t = ceil(a / by) * by; t <= b; t += by) ticks.push(tick(t));
	}
	return [folded, ticks];
}
function drawLine({ row, group, depth, text, draw }, i) {
	const pieces = draw();
	const list = marksOf[row] ?? [];
	const drawn = new Map();
	for (let i = findTime(list, from); list[i]?.t <= to; i++) {
		const { kind, t } = list[i];
		const x = X(t);
		if (kind === "status" || kind === "signal" || x - drawn.get(kind) < 3) continue;
		drawn.set(kind, x);
		pieces.push(piece(`b.mark.k-${MARKS[kind] && kind}`, x - 5, x + 5, MARKS[kind] ?? "·", list[i]));
	}
	const isLit = [...lit].some((item) => item.row === row);
	const label = el("span.label", (group ? (closed.has(group) ? "▸ " : "▾ ") : "") + text);
	const node = el(`div.lane${group ? ".group" : isLit ? ".lit" : ""}`, label, el("div.track", pieces));
	label.style.paddingLeft = px(8 + depth * 12);
	node.style.top = px(i * LINE);
	node.line = lines[i];
	return node;
}
function drawInstance(i) {
	const { begin, end, cold, reclaimed } = instances[i];
	const [a, b] = [X(begin), X(end ?? last)];
	const bands = closed.has(`i${i}`) ? events.filter((event) => event.instance === i).flatMap(drawEvent) : [];
	return [piece("i.life", a, b, cold ? "cold start" : "warm start"), ...bands, reclaimed && piece("i.end", b, 1e4, `reclaimed: ${reclaimed}`)];
}
function drawEvent({ statuses, end, signals }) {
	const bands = statuses.map(([t, status, code], i) => {
		const isGood = status === "FINISHED";
		if (i < statuses.length - 1 || end === null) return piece("i.band", X(t), X(statuses[i + 1]?.[0] ?? last), status);
		return piece(isGood ? "b.end.good" : "b.end.bad", X(t), 1e4, isGood ? "✓ FINISHED" : `✗ ${status} ${code}`);
	});
	const handlers = signals.map(({ entered, left }) => entered !== null && piece("i.handler", X(entered), max(X(left ?? end ?? last), X(entered) + 3)));
	return [...bands, ...handlers];
}
function drawLane(lane) {
	const list = waitsOf[lane];
	const pieces = []; // what piece() gets
	for (let i = max(0, findTime(list, from) - 1); list[i]?.t <= to; i++) {
		const item = list[i];
		const [a, b] = [X(item.t), X(item.end)];
		const hit = hitItems.has(item) ? ".hit" : "";
		if (b - a >= 3) {
			pieces.push([(item.wait[7] === null ? "i.wait" : "i.wait.needs") + hit, a, b, item.text]);
			continue;
		}
		// Narrow bars are one block, up to where a longer one begins.
		const next = max(i + 1, findTime(list, T(a + 2), i)) - 1;
		i = next > i && X(list[next].end) - X(list[next].t) >= 3 ? next - 1 : next;
		const end = max(a + 2, X(list[i].end));
		const before = pieces.at(-1);
		if (before?.[0] === "i.dense" + hit && a - before[2] < 3) before[2] = end;
		else pieces.push(["i.dense" + hit, a, end]);
	}
	for (const { lane: other, t, end, text } of lit) if (other === lane) pieces.push(["i.wait.lit", X(t), max(X(end), X(t) + 4), text]);
	return pieces.map((it) => piece(...it));
}
const signals = items.filter((item) => item.signal);

let grip = null; // where the mouse went down, or was last
let isDrag = false;
// What is at the mouse: the px of time, the line, an item.
const under = ({ clientX, target }) => {
	const x = clientX - ui.axis.getBoundingClientRect().right + wide;
	const line = target.closest(".lane")?.line;
	return { x, line, item: target.item ?? (x > 0 && line?.row[0] === "l" && waitAt(line.row.slice(1), T(x))) };
};
const MOUSE = {
	wheel: (event) => {
		const { x } = under(event);
		if (x < 0) return;
		event.preventDefault();
		if (event.shiftKey || abs(event.deltaX) > abs(event.deltaY)) pan(event.deltaX || event.deltaY);
		else zoom(1.002 ** -event.deltaY, x);
	},
	pointerdown: (event) => {
		grip = event.clientX;
		isDrag = false;
	},
	pointermove: (event) => {
		const { x, line, item } = under(event);
		isDrag ||= event.buttons > 0 && abs(event.clientX - grip) > 3;
		if (event.buttons && isDrag) {
			pan(grip - event.clientX);
			grip = event.clientX;
		}
		const t = round(T(x));
		const isTime = x >= 0 && t >= 0 && t <= last;
		const words = item ? brief(item.text, 200) + (item.wait ? `, for ${duration(item.end - item.t)}` : "") : line?.text;
		fill(ui.tip, isTime && [el("b", since(t)), ` ${absolute(t)}${realText(t)}`], el("div", words));
		ui.tip.hidden = !isTime && !words;
		ui.tip.style.left = px(min(event.clientX + 14, innerWidth - ui.tip.offsetWidth - 8));
		ui.tip.style.top = px(event.clientY + 16);
	},
	pointerleave: () => (ui.tip.hidden = true),
	click: (event) => {
		const { line, item } = under(event);
		if (isDrag) return;
		if (item || !line?.group) return item && choose(item);
		turn(closed, line.group);
		layLanes();
	},
};

// -- beside the log: what is chosen, and tabs --

const ENDS = {
	__proto__: null, lock: "the release of the lock", "own lock": "nothing: its own thread holds the lock", notice: "another thread or task",
	thread: "the end of the thread that it joins", answer: "an answer on its connection",
};
const link = (item) => button(item.text, () => choose(item), { class: "link" });

function showDetail(item) {
	const { wait, signal, event } = item;
	const text = clean(item.text);
	const pre = el("pre", text.slice(0, 3000));
	const isOpen = wait && wait[7] !== null;
	fill(
		ui.detail,
		el("h2", item.kind, " ", laneName(item.lane), " ", events.length > 1 && el("small", event.name)),
		pre,
		text.length > 3000 && button(`all ${format(text.length)} characters`, () => fill(pre, text, (pre.style.whiteSpace = "pre") && "")),
		el("dl",
			fact("at", `${since(item.t)} · ${absolute(item.t)}${realText(item.t, item)}`),
			wait && fact("for", duration(item.end - item.t), wait[1] === null && ", and it did not end"),
			isOpen && fact("ends by", ENDS[wait[7]] ?? "nothing that time brings"),
			isOpen && event.holders.map(([what, who]) => fact("held", el("b", what), ` by ${who}`)),
			signal && signal.entered !== null && fact("handler", `from ${since(signal.entered)} to ${signal.left === null ? "the end" : since(signal.left)}`),
			signal?.raised && fact("raised", signal.raised),
			!wait && [...lit].map((it) => fact(signal ? "met" : "during", el("b", laneName(it.lane)), " ", link(it)))
		)
	);
}

let tab = "Source";
let placeShown = [null, 0, 0]; // as in places
let drawn; // the file that the tab shows
const scrolls = {};
// The numbered lines of a file; *note* gives what is before a line, and its class.
const listing = (file, note) =>
	file.lines.map((text, i) => {
		const [before, name] = note(file.first + i);
		return el(`div.line${name}`, el("span.note", before), el("span.number", file.first + i), el("code", text));
	});
const revealLine = (pane, line) => line && reveal(pane, line.offsetTop - pane.offsetTop, 40);
const keepScroll = () => {
	const pane = ui.pane.querySelector(".source");
	if (pane) scrolls[drawn] = pane.scrollTop;
};
function showPlace(place = placeShown) {
	const [name, line, f, why] = (placeShown = place);
	const file = files[f];
	if (tab !== "Source") return;
	if (!file) {
		drawn = null;
		return fill(ui.pane, el("p.none", name ? `The source of ${name}:${line} is not here${why ? ": " + why : ""}.` : "No source is known."));
	}
	if (drawn !== f) {
		keepScroll();
		drawn = f;
		const note = (n) => (waitedAt[`${f}:${n}`] ? [`${format(waitedAt[`${f}:${n}`])}×`, ".met"] : ["", ""]);
		const choices = files.map((it, i) => button(it.path, () => showPlace([null, 0, i]), { "aria-pressed": i === f }));
		fill(ui.pane, el("div.files", choices), el("div.source", { tabindex: 0, role: "region", "aria-label": `source of ${file.path}` }, listing(file, note)));
		ui.pane.lastChild.scrollTop = scrolls[f] ?? 0;
	}
	const pane = ui.pane.lastChild;
	pane.querySelector(".lit")?.classList.remove("lit");
	pane.children[line - file.first]?.classList.add("lit");
	revealLine(pane, pane.children[line - file.first]);
}

const listed = (list) => (list.length ? table(["at", "for", "what"], list.map((it) => [since(it.t), it.wait && duration(it.end - it.t), link(it)])) : el("p", "There are none."));
const TABS = {
	Source: () => {
		drawn = null;
		showPlace();
	},
	Waits: () => {
		const lane = chosen ? laneOf(chosen) : 0;
		const list = waitsOf[lane] ?? [];
		const part = list.slice(max(0, findTime(list, chosen?.t) - 100)).slice(0, 200);
		return [el("p", `${laneName(lane)}: ${count(list.length, "wait")} (${part.length} here, around the selection)`), listed(part)];
	},
	Files: () =>
		instances.map((it) => [
			el("h2", it.name),
			it.tmp?.length ? table(["/tmp at the end", "bytes"], it.tmp.map(([path, bytes]) => [path, format(bytes)])) : el("p", it.tmp ? "/tmp was empty at its end." : "What /tmp had is not known."),
			it.lost_files.length && el("p.bad", "Lost with the instance: ", it.lost_files.join(", ")),
		]),
	Records: () => listed(items.filter((item) => item.kind === "record").slice(0, 500)),
	Failure: () => el("pre", trace.failure?.slice(0, 1e5) ?? "The test did not fail."),
};
function openTab(name) {
	keepScroll();
	tab = name;
	for (const it of ui.tabs.children) {
		const isOpen = it.textContent === name;
		it.setAttribute("aria-selected", isOpen);
		it.tabIndex = isOpen - 1;
	}
	const nodes = TABS[name]();
	if (nodes) fill(ui.pane, nodes);
}

// -- sweeps --

// Two runs side by side: equal lines beside each other, and the others marked.
const compared = ({ difference, rows }) => [
	el("p.bad", difference),
	table(["first run", "second run"], rows.map((row) => row.map((text) => el(row[0] === row[1] ? "div" : "div.differs", text)))),
];
function copyable(text) {
	const node = el("code", text);
	const copy = button("copy", () => {
		getSelection().selectAllChildren(node);
		copy.textContent = document.execCommand("copy") ? "copied" : "press Ctrl-C";
	});
	return [node, " ", copy];
}
let seen = [0, 0]; // the sweep and the cause that are shown
function showSweep(s = seen[0], c = seen[1]) {
	const sweep = sweeps[s];
	const hadFocus = ui.sweep.contains(document.activeElement);
	seen = [s, c];
	const it = sweep.classes[c];
	const place = places[it?.place];
	const [, line, f] = place ?? [];
	// The directory of the script, as a relative address, whatever is in its name.
	const directory = "./" + it?.repro?.replace(/[^/]*$/, "").replace(/[?#%\\]/g, encodeURIComponent);
	const list = (name, texts) => texts.length && `${name}: ${texts.join(", ")}. `;
	const section = (title, ...children) => el("section", el("h2", title), children);
	const source = ({ file, lines }) => {
		const isHere = (n) => (file === f && n === line ? ".lit" : "");
		const heat = new Map(lines.map(([n, runs, failed]) => [n, failed ? [`✗ ${failed} of ${runs}`, ".failed" + isHere(n)] : [`✓ ${runs}`, ".survived"]]));
		return [el("b", files[file].path), listing(files[file], (n) => heat.get(n) ?? ["", ""])];
	};
	const pane = el("div.source", { tabindex: 0 }, sweep.heat.map(source));
	const effects = (it?.effects ?? []).map(([key, text, after, at]) => el("li", el("b", key), ` ${text} `, el("em", after), el("small", placeText(places[at]))));
	if (effects.length) effects.splice(it.killed_after ?? 0, 0, el("li.bad", "✂ killed here"));
	const attempts = new Map(); // equal ones, with their number
	for (const one of it?.attempts ?? []) attempts.set(`${one}`, [...one, (attempts.get(`${one}`)?.[3] ?? 0) + 1]);
	fill(
		ui.sweep,
		el("p", sweep.compared && `Compared: ${sweep.compared}. `, list("Ignored", sweep.ignored), list("Not tried", sweep.not_tried), `${count(sweep.runs, "run")} at ${count(sweep.points, "point")}, in ${sweep.seconds} s.`),
		tabList("causes", "cause", sweep.classes.map((one) => [el("b", one.title), ` ${count(one.runs, "run")}, ${one.how}`]), c, (i) => (location.hash = `s${s}c${i}`)),
		el("div.columns", { role: "tabpanel", id: "cause" },
			sweep.heat.length && section("Where it was interrupted", pane),
			it && section("What it wrote", it.explanation && el("p", it.explanation), effects.length ? el("ol", effects) : el("p", it.how === "graceful" ? "It was stopped by a SIGTERM." : "Its writes are not known."), it.survives && el("p.good", it.survives)),
			it && section("Kill, then restarts", el("ol",
				el("li.bad", `✂ ${it.how} ${placeText(place)}`), it.files.map((text) => el("li", text)),
				[...attempts.values()].map(([what, how, why, n]) => el(what.startsWith("FINISHED") ? "li" : "li.bad", el("b", what), ` ${how}${n > 1 ? `, ${n} times alike` : ""}`, el("small", why))),
				it.differences.map((text) => el("li.bad", `✗ ${text}`))))
		),
		it && el("dl", it.fix && fact("fix", it.fix), fact("replay", copyable(it.replay)), (it.repro || it.repro_call) && fact("without pytest", it.repro ? [copyable(`sh ${it.repro}`), " ", el("a", { href: directory }, "its directory")] : ["a script, by ", copyable(it.repro_call)]), it.others.length && fact("same at", it.others.join(", "))),
		sweep.pairs.map((pair) => el("details", { open: "" }, el("summary", `Two runs of ${pair.key} differ`), compared(pair))),
		it?.timeline && el("details", el("summary", "Timeline of the interrupted event"), el("pre", it.timeline)),
		el("details.report", el("summary", "The whole report"), el("pre", sweep.report.slice(0, 1e6)))
	);
	if (hadFocus) ui.sweep.querySelector("[tabindex='0']")?.focus();
	hits = [...ui.sweep.querySelectorAll("mark")].filter((mark) => !mark.closest(".report"));
	hit = -1;
	sayHits();
	revealLine(pane, pane.querySelector(".lit"));
}

// -- the page --

const HELP = `/ or Ctrl-F|search; n, N: next, previous
↑ ↓|the line of the log before, after
← →|the lane's wait before, after
Enter|go to the source
wheel, + −, 0|zoom; 0: the whole time
drag, Shift ← →|move
f, g, o|fold idle time, instances, lines
t|dark or light
Esc|end the search
◆ ‖ ❘ ●|record, gate, line, instance
dashed|a wait that no time ends
⟨ 24 h ⟩|idle time, folded`.split("\n").map((line) => fact(...line.split("|")));
const field = (label, work) => el("input", { type: "search", placeholder: label, "aria-label": label, input: ({ target }) => work(target.value) });
ui = {
	search: field("search (/)", search),
	hits: el("span.hits", { role: "status" }),
	axis: el("div.axis"),
	lines: el("div.lines"),
	tip: el("div.tip", { hidden: "" }),
	none: el("p.none", "No line passes the filter."),
	logSize: el("div.size"),
	detail: el("section.detail", { "aria-label": "selection" }),
	tabs: tabList("details", "pane", Object.keys(TABS), 0, (_, name) => openTab(name)),
	pane: el("div.pane", { role: "tabpanel", id: "pane" }),
	sweep: el("main.sweep"),
	help: el("dialog", { "aria-label": "keys" }, el("dl", HELP)),
};
ui.lanes = el("section.lanes", { tabindex: 0, "aria-label": "lanes; Waits has each as a table", scroll: redraw, ...MOUSE }, ui.axis, ui.lines);
ui.log = el("div.log", { tabindex: 0, role: "listbox", "aria-label": "log", scroll: drawLog }, ui.logSize);
ui.main = el("main", ui.lanes, el("div.panes", el("section", el("div.bar", field("filter", (text) => layLog((filter = text.toLowerCase()))), [...new Set(items.map((item) => item.kind))].map((kind) =>
	button(kind, ({ target }) => {
		turn(hidden, kind);
		target.setAttribute("aria-pressed", !hidden.has(kind));
		layLog();
	}, { "aria-pressed": true })
)), ui.none, ui.log), el("section", ui.detail, ui.tabs, ui.pane)));
const views = [...sweeps.map((sweep, s) => [`sweep of ${sweep.function}`, `s${s}c0`]), ["events", "events"]].map(([text, hash]) => button(text, () => (location.hash = hash)));

let isDark = matchMedia("(prefers-color-scheme: dark)").matches;
const turnTheme = () => {
	isDark = !isDark;
	document.documentElement.style.colorScheme = isDark ? "dark" : "light";
};
const foldTime = () => {
	isFolding = !isFolding;
	layAxis();
	lookAtAll();
};
const [path, ...test] = trace.test.split("::");
const sign = { failed: "✗", error: "✗", passed: "✓" }[trace.outcome] ?? "○";
document.body.append(
	el("header",
		el("div.bar", el("span.test", path, el("b", test.map((name) => `::${name}`))), sweeps.length && events.length ? views : "", ui.search, ui.hits, button("idle time (f)", foldTime), button("◐", turnTheme, { "aria-label": "dark or light" }), button("?", () => ui.help.showModal(), { "aria-label": "keys" })),
		el(sign === "✗" ? "h1.bad" : "h1.good", `${sign} ${trace.headline}`),
		told?.why.map((line) => {
			const [, name, text] = /^([\w ]{1,24}: )?(.*)$/s.exec(line);
			return !trace.headline.includes(text) && el("p.why", el("b", name ?? ""), text);
		}),
		trace.cut.map((text) => el("p.cut.bad", `⚠ ${text}`)),
		el("small", events.length && `from ${absolute(0)} · ${duration(last)} simulated · `, trace.real_seconds !== null && `real ${duration(round(trace.real_seconds * 1e6))}`)
	),
	ui.main, ui.sweep, ui.tip, ui.help
);

function fit() {
	layLanes();
	lookAtAll();
	layLog();
}
function follow() {
	const [, s, c = 0] = /^#s(\d+)c(\d+)$/.exec(location.hash) ?? [];
	const isSweep = !!sweeps[0] && (s || !location.hash || !events.length);
	const isNew = ui.main.hidden || !chosen;
	ui.main.hidden = isSweep;
	ui.sweep.hidden = !isSweep;
	views.forEach((view, i) => view.setAttribute("aria-pressed", i === (isSweep ? +(s ?? 0) : sweeps.length)));
	if (isSweep) return showSweep(sweeps[s] ? +s : 0, +c);
	if (isNew) fit();
	const item = byKey.get(location.hash.slice(1)) ?? chosen ?? answer();
	if (item !== chosen || isNew) choose(item, true, true);
	if (isNew && needle) search(needle);
}

const turnAll = (set, all, after) => {
	if (set.size) set.clear();
	else all.forEach((it) => set.add(it));
	after();
};
const KEYS = {
	ArrowUp: () => step(-1),
	ArrowDown: () => step(1),
	ArrowLeft: () => stepWait(-1),
	ArrowRight: () => stepWait(1),
	ShiftArrowLeft: () => pan(-80),
	ShiftArrowRight: () => pan(80),
	Enter: () => {
		openTab("Source");
		ui.pane.querySelector(".source")?.focus();
	},
	"/": () => ui.search.select(),
	"+": () => zoom(1.5),
	"-": () => zoom(1 / 1.5),
	0: lookAtAll,
	f: foldTime,
	g: () => turnAll(closed, instances.map((_, i) => `i${i}`), layLanes),
	o: () => turnAll(opened, events.flatMap((event) => event.fold), layLog),
	n: () => nextHit(1),
	N: () => nextHit(-1),
	t: turnTheme,
	"?": () => ui.help.showModal(),
};
addEventListener("keydown", (event) => {
	const { key, target } = event;
	const isField = target.matches("input");
	const work = KEYS[event.shiftKey && key.startsWith("Arrow") ? `Shift${key}` : key];
	if (event.ctrlKey || event.metaKey || event.altKey) {
		if (key !== "f" || event.altKey || target === ui.search) return;
		ui.search.select();
	} else if (isField && key === "Escape") {
		target.value = "";
		target.dispatchEvent(new Event("input"));
		ui.log.focus();
	} else if (target === ui.search && key === "Enter") nextHit(event.shiftKey ? -1 : 1);
	else if (isField || ui.help.open || !work || (target.closest("button, summary, .source, .pane") && /^(Arrow|Enter)/.test(key)) || ((ui.main.hidden || !chosen) && !"t?/nN".includes(key))) return;
	else work();
	event.preventDefault();
});
addEventListener("hashchange", follow);
addEventListener("resize", () => ui.main.hidden || fit());
layAxis();
openTab("Source");
follow();
})();
