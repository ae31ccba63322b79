// Shows the trace of one test: builds all of <body> from the JSON in #trace, whose format is docs/reference.md's.
//
// The data is hostile, as log lines are. It reaches the page as text nodes, as text of attributes and as text on the
// canvas, never as markup. Times are µs of simulated time after the trace's origin. An "item" is a line of the log: a
// wait, a signal or another entry of an event. One item is selected, and location.hash has its key.
(() => {
	"use strict";
	const { abs, ceil, floor, log, max, min, round } = Math;

	// -- texts --

	const ANSI = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])/g;
	const HIDDEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
	// Colour codes go; a character that is invisible, or turns the direction of text, is shown as its number.
	const clean = (text) =>
		String(text ?? "").replace(ANSI, "").replace(/\r\n/g, "\n")
			.replace(HIDDEN, (c) => `‹${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}›`);
	const clip = (text, most) => (text.length > most ? text.slice(0, most) + "…" : text);
	const brief = (text, most = 400) => clean(clip(String(text ?? ""), most)).replace(/\n/g, " ⏎ ").replace(/\t/g, "  ");
	const number = (n) => n.toLocaleString("en");
	const count = (n, noun) => `${number(n)} ${noun}${n === 1 ? "" : noun.endsWith("ch") || noun.endsWith("ss") ? "es" : "s"}`;
	const seconds = (us) => {
		const [whole, part] = (us / 1e6).toFixed(6).split(".");
		return `${number(+whole)}.${part}`.replace(/\.?0+$/, "") + " s";
	};
	const duration = (us) => {
		if (us < 1e3) return `${us} µs`;
		if (us < 1e6) return `${+(us / 1e3).toFixed(3)} ms`;
		if (us < 3.6e9) return seconds(us);
		const minutes = floor(us / 6e7);
		const parts = [`${number(floor(minutes / 60))} h`];
		if (minutes % 60) parts.push(`${minutes % 60} min`);
		if (us % 6e7) parts.push(seconds(us % 6e7));
		return parts.join(" ");
	};

	// An element: el("div.row", {role: "option"}, child, …); a child that is no node is text.
	const el = (name, ...children) => {
		const [tag, ...classes] = name.split(".");
		const node = document.createElement(tag);
		if (classes.length) node.className = classes.join(" ");
		if (children[0]?.constructor === Object)
			for (const [key, value] of Object.entries(children.shift()))
				if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
				else if (value !== null && value !== false) node.setAttribute(key, value);
		node.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
		return node;
	};
	const fill = (node, ...children) => node.replaceChildren(...el("div", ...children).childNodes);
	const button = (text, onclick, attributes) => el("button", { type: "button", onclick, ...attributes }, text);

	// -- the data --

	const refuse = (text) => document.body.append(el("p.refusal", text));
	let trace;
	try {
		trace = JSON.parse(document.getElementById("trace").textContent);
	} catch (error) {
		return refuse(`This trace cannot be read (${error.message}): run the test again.`);
	}
	if (trace.version !== 1)
		return refuse(`This viewer reads version 1 of the trace, and the file has version ${brief(trace.version)}: make it anew.`);
	const { events, lanes, instances, places, files, texts, sweeps } = trace;

	const absolute = (us) => {
		const at = trace.origin_us + us + trace.zone_minutes * 6e7;
		const text = new Date(floor(at / 1e3)).toISOString();
		return `${text.slice(0, 10)} ${text.slice(11, 23)}${String(at % 1e3).padStart(3, "0")} ${trace.zone}`;
	};
	const real = trace.real_seconds === null ? "" : `real ${duration(round(trace.real_seconds * 1e6))}`;
	const placeText = (place) => (places[place] ? `${places[place][0]}:${places[place][1]}` : "");
	const laneName = (lane) => lanes[lane]?.name ?? "";
	const statusText = (status, code) => (code && status !== "FINISHED" ? `${status} ${code}` : status);

	const items = [];
	const byKey = new Map();
	const waitsOf = lanes.map(() => ({ begin: [], item: [] }));
	const marks = new Map(); // by row ("e0", "l3") and kind: times and items of entries
	const waitedAt = new Map(); // by "file:line": how often
	let last = 0;

	const waitText = ([, , , text, place, times, latest]) =>
		texts[text] + (places[place] ? ` at ${placeText(place)}` : "") +
		(times > 1 ? ` (${number(times)} times, until +${seconds(latest)})` : "");

	events.forEach((event, e) => {
		event.name = `${event.function} ${event.id.slice(0, 8)}`;
		const { entries, waits, signals } = event;
		const stop = event.end ?? max(event.begin, entries.at(-1)?.[0] ?? 0, waits.at(-1)?.[6] ?? 0, waits.at(-1)?.[0] ?? 0);
		const unseen = new Set(signals);
		let fold = 0;
		let next = 0;
		const add = (key, t, kind, text, lane, place, more) =>
			items.push({ key: `e${e}${key}`, t, end: t, event, row: lane === null ? `e${e}` : `l${lane}`, kind, text, lane: lane ?? -1, place, ...more });
		const addSignal = (signal, text, lane, place) => {
			unseen.delete(signal);
			add(`s${signals.indexOf(signal)}`, signal.sent, "signal", text, lane, place, { signal });
		};
		const addWaits = (isDue) => {
			for (; next < waits.length && isDue(waits[next]); next++) {
				const wait = waits[next];
				const key = places[wait[4]] && `${places[wait[4]][2]}:${places[wait[4]][1]}`;
				waitedAt.set(key, (waitedAt.get(key) ?? 0) + wait[5]);
				add(`w${next}`, wait[0], "wait", waitText(wait), wait[2], wait[4], { wait, end: wait[1] ?? stop });
			}
		};
		entries.forEach(([t, kind, text, lane, place], i) => {
			addWaits((wait) => (wait[8] == null ? wait[0] < t : wait[8] <= i));
			while (event.fold[fold]?.[1] < i) fold++;
			const signal = kind === "signal" && [...unseen].find((each) => each.sent === t);
			if (signal) addSignal(signal, text, lane, place);
			else add(`l${i}`, t, kind, text, lane, place, { fold: event.fold[fold]?.[0] <= i ? event.fold[fold] : null });
		});
		addWaits(() => true);
		unseen.forEach((signal) => addSignal(signal, signal.text, null, null));
		last = max(last, stop);
	});
	items.sort((a, b) => a.t - b.t);
	items.forEach((item, i) => {
		byKey.set(item.key, i);
		last = max(last, item.end);
		if (!marks.has(item.row)) marks.set(item.row, {});
		const list = item.wait ? waitsOf[item.lane] : (marks.get(item.row)[item.kind] ??= { begin: [], item: [] });
		list.begin.push(item.t);
		list.item.push(i);
	});
	for (const each of instances) last = max(last, each.end ?? 0);

	// The first index of the sorted *array*, from *low* on, whose value is *value* or more.
	const find = (array, value, low = 0) => {
		for (let high = array.length; low < high; ) {
			const middle = (low + high) >> 1;
			if (array[middle] < value) low = middle + 1;
			else high = middle;
		}
		return low;
	};

	// -- the axis: simulated time in units, of which idle time has fewer --

	const ends = [...events, ...instances].flatMap((each) => [each.begin, each.end ?? last]);
	const points = new Float64Array(new Set([0, last, ...ends, ...items.flatMap((item) => [item.t, item.end])])).sort();
	const units = new Float64Array(points.length);
	let folds = []; // a section i goes from points[i - 1] to points[i]
	let isFolding = true;
	let total = 0;

	function layAxis() {
		const gaps = points.slice(1).map((point, i) => point - points[i]);
		const sorted = gaps.filter((gap) => gap > 20).sort(); // less is the order of calls, and no time
		const usual = sorted[floor((sorted.length - 1) * (sorted.length < 60 ? 0.25 : 0.5))];
		// Where the usual section is wide enough beside the longest, nothing is folded.
		const limit = isFolding && usual < last * 0.008 ? usual * 5 : Infinity;
		folds = [];
		gaps.forEach((gap, i) => {
			if (gap > limit) folds.push(i + 1);
			units[i + 1] = units[i] + (gap > limit ? limit * (1 + log(gap / limit) / 4) : gap);
		});
		total = units.at(-1) || 1;
	}
	const map = (from, to, value) => {
		const i = min(max(find(from, value), 1), from.length - 1);
		if (from.length < 2 || value < from[0] || value > from[i]) return value - from.at(value > 0 ? -1 : 0) + to.at(value > 0 ? -1 : 0);
		return to[i - 1] + ((value - from[i - 1]) * (to[i] - to[i - 1])) / (from[i] - from[i - 1]);
	};

	// -- the selection --

	let chosen = -1; // an item
	let lit = new Set(); // the waits that belong to it
	let sweepShown = null;

	const waitAt = (lane, t) => {
		const { begin, item } = waitsOf[lane] ?? { begin: [] };
		const i = item?.[find(begin, t + 1) - 1];
		return i !== undefined && items[i].end >= t ? i : -1;
	};
	const laneOf = (item) => (item.lane >= 0 ? item.lane : lanes.findIndex((lane) => lane.instance === item.event.instance && lane.kind === "main"));

	const isBad = (event) => event.status !== "FINISHED";
	const told = events.find((each) => each.why.length && isBad(each)) ?? events.find((each) => each.why.length) ?? events.find(isBad) ?? events[0];
	// What a reader looks for: the signal and the wait that it met, else the wait that did not end, else the end.
	function answer() {
		const event = told;
		const own = [...items.keys()].filter((i) => items[i].event === event);
		const signal = own.findLast((i) => items[i].signal);
		if (signal !== undefined && event.code !== 433) return signal;
		const said = [trace.headline, ...(event?.why ?? [])].join();
		const quoted = own.findLast((i) => items[i].kind === "log" && items[i].text.length > 12 && said.includes(items[i].text));
		if (quoted !== undefined) return quoted;
		const stuck = own.filter((i) => items[i].wait && items[i].end >= (event.end ?? last));
		const rank = (i) => 2 * said.includes(placeText(items[i].place) || "\n") + (items[i].wait[7] !== null);
		return stuck.sort((a, b) => rank(b) - rank(a) || items[a].t - items[b].t)[0] ?? own.findLast((i) => items[i].wait) ?? own.at(-1) ?? -1;
	}

	// Clicks add to the browser's history, steps of the keyboard replace its last entry.
	const writeHash = (hash, isStep) => {
		if (location.hash === hash) return;
		if (isStep) location.replace(hash);
		else location.hash = hash;
	};
	function select(i, isStep, isSilent) {
		const item = items[i];
		if (!item) return;
		chosen = i;
		const wait = item.signal || item.wait ? -1 : waitAt(laneOf(item), item.t);
		lit = new Set(item.wait ? [i] : wait >= 0 ? [wait] : []);
		const e = events.indexOf(item.event);
		for (const [, index] of item.signal?.waits ?? []) lit.add(byKey.get(`e${e}w${index}`));
		if (!isSilent) writeHash("#" + item.key, isStep);
		openFold(item);
		showInLog(i);
		showDetail();
		const shown = places[item.place] ? item : items[[...lit].find((each) => places[items[each].place])];
		if (shown) showPlace(places[shown.place]);
		if (openTab !== "Source") openTabNamed(openTab);
		showInLanes(item);
		redraw();
	}

	// -- search --

	let needle = "";
	let hits = []; // items, then [file, line]
	let hit = -1;
	let hitItems = new Set();

	const has = (text) => clean(text).toLowerCase().includes(needle);
	const marked = (text) => {
		const nodes = [];
		let from = 0;
		for (let at; needle && nodes.length < 99 && (at = text.toLowerCase().indexOf(needle, from)) >= 0; from = at + needle.length)
			nodes.push(text.slice(from, at), el("mark", text.slice(at, at + needle.length)));
		return [...nodes, text.slice(from)];
	};
	function search(text) {
		needle = clean(text).toLowerCase();
		hit = -1;
		hits = [];
		if (needle) items.forEach((item, i) => (has(item.text) || has(laneName(item.lane))) && hits.push(i));
		hitItems = new Set(hits);
		if (needle) files.forEach((file, f) => file.lines.forEach((line, i) => has(line) && hits.push([f, file.first + i])));
		sayHits();
		drawLog();
		showFile(fileShown, lineShown);
		redraw();
	}
	function sayHits() {
		const where = `log ${number(hitItems.size)}, source ${number(hits.length - hitItems.size)}`;
		ui.hits.textContent = !needle ? "" : !hits.length ? "no match" : `${hit < 0 ? "" : number(hit + 1) + " of "}${count(hits.length, "match")} (${where})`;
	}
	function nextHit(step) {
		if (!hits.length) return;
		if (hit < 0) hit = max(0, hits.findIndex((each) => each >= chosen || each.length)) - (step > 0);
		hit = (hit + step + hits.length) % hits.length;
		if (hits[hit].length) showPlace([null, hits[hit][1], hits[hit][0]], openTabNamed("Source"));
		else select(hits[hit], true);
		sayHits();
	}

	// -- the log --

	const ROW = 21;
	const KINDS = ["status", "signal", "wait", "log", "record", "gate", "instance", "platform", "real", "remark"];
	const hidden = new Set(); // kinds
	const openFolds = new Set();
	let filter = "";
	let rows = []; // items; ~i is the head of the folded run that begins with item i
	let rowKeys = []; // the items of rows
	const rowOf = (i) => {
		const row = find(rowKeys, i);
		return rowKeys[row + 1] === i ? row + 1 : row;
	};

	function layLog() {
		const top = floor(ui.log.scrollTop / ROW);
		const anchor = rowKeys[top];
		const offset = ui.log.scrollTop - top * ROW;
		const heads = new Set();
		rows = [];
		items.forEach((item, i) => {
			if (hidden.has(item.kind) || (filter && !clean(item.text).toLowerCase().includes(filter))) return;
			if (item.fold && !filter) {
				if (!heads.has(item.fold)) rows.push(~i);
				heads.add(item.fold);
				if (!openFolds.has(item.fold)) return;
			}
			rows.push(i);
		});
		rowKeys = rows.map((row) => (row < 0 ? ~row : row));
		ui.logSize.style.height = `${rows.length * ROW}px`;
		if (anchor !== undefined) ui.log.scrollTop = rowOf(anchor) * ROW + offset;
		drawLog();
	}
	function openFold(item) {
		if (!item.fold || openFolds.has(item.fold) || filter) return;
		openFolds.add(item.fold);
		layLog();
	}
	function turnFold(fold) {
		if (!openFolds.delete(fold)) openFolds.add(fold);
		layLog();
	}
	function logRow(row) {
		const i = rowKeys[row];
		const item = items[i];
		const isHead = rows[row] < 0;
		const isOpen = isHead && openFolds.has(item.fold);
		const isChosen = !isHead && i === chosen;
		const node = el("div.row", { role: "option", id: `row${row}`, "aria-setsize": rows.length, "aria-posinset": row + 1, "aria-selected": `${isChosen}` }, el("span.time", `+${seconds(item.t)}`));
		node.style.top = `${row * ROW}px`;
		if (isHead) {
			node.classList.add("fold");
			node.append(el("span.kind", isOpen ? "▾" : "▸ …"), el("span", brief(item.fold[2])));
			node.addEventListener("click", () => turnFold(item.fold));
			return node;
		}
		if (KINDS.includes(item.kind)) node.classList.add(`k-${item.kind}`);
		for (const [name, isOn] of [["chosen", isChosen], ["lit", lit.has(i)], ["hit", hitItems.has(i)]]) node.classList.toggle(name, isOn);
		node.append(el("span.kind", brief(item.kind)));
		if (events.length > 1) node.append(el("span.lane", brief(item.event.name)));
		if (lanes.length > 1) node.append(el("span.lane", brief(laneName(item.lane))));
		node.append(el("span.text", marked(brief(item.text, 2000))));
		node.addEventListener("click", () => select(i));
		return node;
	}
	function drawLog() {
		const first = max(0, floor(ui.log.scrollTop / ROW) - 5);
		const after = min(rows.length, first + ceil(ui.log.clientHeight / ROW) + 10);
		ui.logSize.replaceChildren(...Array.from({ length: max(0, after - first) }, (_, i) => logRow(first + i)));
		ui.log.setAttribute("aria-activedescendant", `row${rowOf(chosen)}`);
		ui.none.hidden = rows.length > 0;
	}
	function showInLog(i) {
		const at = rowOf(i) * ROW;
		if (at < ui.log.scrollTop + ROW || at > ui.log.scrollTop + ui.log.clientHeight - 2 * ROW) ui.log.scrollTop = at - ui.log.clientHeight * 0.6;
		drawLog();
	}
	function step(by) {
		let row = chosen < 0 ? -1 : rowOf(chosen);
		do row += by;
		while (rows[row] < 0);
		if (rows[row] !== undefined) select(rows[row], true);
	}
	function stepWait(by) {
		const { begin, item } = waitsOf[max(0, chosen < 0 ? 0 : laneOf(items[chosen]))] ?? { item: [] };
		if (!item.length) return;
		const here = items[chosen]?.wait ? item.indexOf(chosen) : find(begin, (items[chosen]?.t ?? 0) + 1) - (by > 0);
		if (item[here + by] !== undefined) select(item[here + by], true);
	}

	// -- lanes, on a canvas: only what is seen is drawn --

	const LINE = 24;
	const AXIS = 42;
	let gutter = 170;
	let lines = []; // {type, index, depth, text, isFolded}
	const closed = new Set(); // groups
	let left = 0; // units
	let scale = 1; // px a unit
	let ink = {}; // colours by name
	let pen = null;
	let isDue = false;
	let wide = 0;
	let now = [0, 0]; // the times at both edges

	function layLanes() {
		lines = [];
		const names = [...new Set([...instances, ...events].map((each) => each.function))];
		const addEvents = (depth, test) => events.forEach((event, index) => test(event) && lines.push({ type: "event", index, depth, text: `event ${event.id.slice(0, 8)}` }));
		const addLanes = (depth, instance, parent) =>
			lanes.forEach((lane, index) => {
				if (lane.instance !== instance || lane.parent !== parent) return;
				lines.push({ type: "lane", index, depth, text: lane.name === lane.kind ? lane.name : `${lane.name} (${lane.kind})` });
				addLanes(depth + 1, instance, index);
			});
		const isOpen = (type, index, depth, text) => {
			const isFolded = closed.has(type + index);
			lines.push({ type, index, depth, text, isFolded });
			return !isFolded;
		};
		addEvents(0, (event) => event.instance === null && names.length < 2);
		addLanes(0, null, null);
		names.forEach((name, n) => {
			const depth = names.length > 1 ? 1 : 0;
			if (depth && !isOpen("function", n, 0, name)) return;
			if (depth) addEvents(depth, (event) => event.instance === null && event.function === name);
			instances.forEach((each, i) => {
				if (each.function !== name || !isOpen("instance", i, depth, each.name)) return;
				addEvents(depth + 1, (event) => event.instance === i);
				addLanes(depth + 1, i, null);
			});
		});
		for (const line of lines) line.text = brief(line.text, 100);
		const height = lines.length * LINE + AXIS + 4;
		const seen = min(height, max(160, innerHeight * 0.4));
		ui.lanes.style.height = `${seen}px`;
		ui.lanesSize.style.height = `${height - seen}px`;
	}
	const X = (t) => gutter + (map(points, units, t) - left) * scale;
	const T = (x) => map(units, points, left + (x - gutter) / scale);
	function resetView() {
		wide = ui.canvas.clientWidth;
		scale = max(1, wide - gutter - 150) / total;
		left = -10 / scale;
		redraw();
	}
	function zoom(factor, x = gutter) {
		const at = left + (x - gutter) / scale;
		scale = min(max(scale * factor, 20 / total), 1e3);
		left = at - (x - gutter) / scale;
		redraw();
	}
	function pan(px) {
		left += px / scale;
		redraw();
	}
	function showInLanes(item) {
		const seen = ui.lanes.clientHeight - AXIS;
		const at = lines.findIndex((line) => line.type[0] + line.index === item.row) * LINE;
		if (at >= 0 && (at < ui.lanes.scrollTop || at + LINE > ui.lanes.scrollTop + seen)) ui.lanes.scrollTop = at - seen / 2;
		if (X(item.end) < gutter || X(item.t) > wide) left = map(points, units, item.t) - (wide - gutter) / 2 / scale;
	}
	function redraw() {
		if (!isDue) requestAnimationFrame(draw);
		isDue = true;
	}

	const box = (colour, x, y, w, h) => {
		pen.fillStyle = ink[colour];
		pen.fillRect(x, y, w, h);
	};
	// Write *text*, cut to *room* px.
	const say = (colour, text, x, y, room = 1e4) => {
		pen.fillStyle = ink[colour];
		let length = text.length;
		const size = pen.measureText(text).width;
		if (size > room) length = floor((length * (room - 8)) / size);
		if (length > 1) pen.fillText(length < text.length ? text.slice(0, length) + "…" : text, x, y);
	};
	const within = (x, y, w, h, work) => {
		pen.save();
		pen.beginPath();
		pen.rect(x, y, w, h);
		pen.clip();
		work();
		pen.restore();
	};
	// Each kind has a shape of its own, too.
	const POINTS = { record: [0, -5, 5, 0, 0, 5, -5, 0], signal: [-5, -5, 5, -5, 0, 5], gate: [-4, -5, -1, -5, -1, 5, -4, 5, -4, -5, 1, -5, 4, -5, 4, 5, 1, 5, 1, -5], instance: [-4, 0, 0, -4, 4, 0], log: [-0.5, -4, 0.5, -4, 0.5, 4, -0.5, 4] };
	const shape = (kind, x, y) => {
		const list = POINTS[kind] ?? [-2, -2, 2, -2, 2, 2, -2, 2];
		pen.fillStyle = ink[kind] ?? ink.dim;
		pen.beginPath();
		for (let i = 0; i < list.length; i += 2) pen.lineTo(x + list[i], y + list[i + 1]);
		pen.fill();
	};

	function draw() {
		isDue = false;
		if (sweepShown) return;
		const ratio = devicePixelRatio || 1;
		const high = ui.lanes.clientHeight;
		ui.canvas.style.height = `${high}px`;
		ui.canvas.width = wide * ratio;
		ui.canvas.height = high * ratio;
		pen = ui.canvas.getContext("2d");
		pen.scale(ratio, ratio);
		pen.font = ink.font;
		pen.textBaseline = "middle";
		now = [T(gutter), T(wide)];
		const scroll = ui.lanes.scrollTop;
		const broken = [];
		for (let f = find(folds, find(points, now[0])); f < folds.length && points[folds[f] - 1] <= now[1]; f++)
			broken.push([max(X(points[folds[f] - 1]), gutter - 8), min(X(points[folds[f]]), wide + 8), points[folds[f]] - points[folds[f] - 1]]);
		within(gutter, AXIS, wide, high, () => broken.forEach(([a, b]) => box("folded", a, AXIS, b - a, high)));
		within(0, AXIS, wide, high, () => {
			for (let i = floor(scroll / LINE); i < lines.length && i * LINE - scroll < high; i++) drawLine(lines[i], AXIS + i * LINE - scroll);
		});
		say("dim", `simulated time`, 10, 29);
		box("line", 0, AXIS - 1, wide, 1);
		within(gutter, 0, wide, high, () => {
			drawAxis(broken);
			drawSignals(high);
			const item = items[chosen];
			if (item && !item.wait && !item.signal) box("accent", round(X(item.t)), AXIS - 5, 1, high);
		});
	}

	const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500].flatMap((n) => [n, n * 1e3]).concat([1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 604800].map((n) => n * 1e6)).sort((a, b) => a - b);
	function drawAxis(broken) {
		const taken = [];
		const label = (colour, text, x) => {
			const half = pen.measureText(text).width / 2;
			const at = min(max(x, gutter + half + 2), wide - half - 2);
			if (abs(at - x) > half + 4 || taken.some(([a, b]) => at + half + 7 > a && at - half - 7 < b)) return;
			taken.push([at - half, at + half]);
			say(colour, text, at - half, 28);
		};
		const tick = (x) => box("dim", round(x), AXIS - 7, 1, 6);
		// Between folded sections time is to scale: ticks at both ends, and at round times.
		let from = max(gutter, X(0));
		const runs = broken.map(([a, b]) => [from, a, (from = b)]).concat([[from, min(wide, X(last))]]);
		for (const [a] of runs) if (a >= gutter) label("text", seconds(round(T(a))), a, tick(a));
		pen.strokeStyle = ink.fold;
		for (const [a, b, gap] of broken) {
			pen.beginPath();
			for (let x = a, up = 0; x <= b; x += 4, up ^= 4) pen.lineTo(x, AXIS - 3 - up);
			pen.stroke();
			const text = `⟨ ${duration(gap < 1e7 ? gap : gap < 3.6e9 ? round(gap / 1e4) * 1e4 : round(gap / 6e7) * 6e7)} ⟩`;
			if (pen.measureText(text).width + 8 < b - a) label("fold", text, (a + b) / 2);
		}
		for (const [a, b] of runs) {
			const by = STEPS.find((each) => (each * (b - a)) / (T(b) - T(a)) > 95);
			if (by && b - a > 50) for (let t = ceil(T(a) / by) * by; t <= T(b); t += by) label("text", seconds(t), X(t), tick(X(t)));
		}
	}
	function drawSignals(high) {
		let free = gutter;
		for (const item of signalItems) {
			const x = round(X(item.t));
			const isOn = item === items[chosen];
			box("signal", x, AXIS - 6, isOn ? 2 : 1, high);
			shape("signal", x, 11);
			const text = `SIGTERM: ${brief(item.signal.disposition)}`;
			const room = pen.measureText(text).width;
			const at = x + room + 10 > wide ? x - room - 8 : x + 9;
			if (at < free || x > wide) continue;
			free = at + room + 8;
			say("signal", text, at, 10);
		}
	}
	const signalItems = items.filter((item) => item.signal);

	function drawLine({ type, index, depth, text, isFolded }, y) {
		const isGroup = type === "instance" || type === "function";
		if (isGroup) box("head", 0, y + 1, wide, LINE - 2);
		within(gutter, y, wide, LINE, () => {
			if (type === "instance") drawInstance(instances[index], isFolded, y);
			else if (type === "event") drawEvent(events[index], y);
			else if (type === "lane") drawLane(index, y);
			if (!isGroup)
				for (const [kind, { begin }] of Object.entries(marks.get(type[0] + index) ?? {}))
					for (let i = find(begin, now[0]); begin[i] <= now[1]; i = max(i + 1, find(begin, T(X(begin[i]) + 2), i)))
						if (kind !== "status" && kind !== "signal") shape(kind, X(begin[i]), y + LINE - 5);
		});
		const isLit = type === "lane" && [...lit].some((i) => items[i].lane === index);
		const inset = 8 + depth * 12;
		say(isLit || isGroup ? "text" : "dim", (isGroup ? (isFolded ? "▸ " : "▾ ") : "") + text, inset, y + LINE / 2, gutter - inset - 6);
	}
	function drawInstance(each, isFolded, y) {
		const a = X(each.begin);
		const b = X(each.end ?? last);
		box("fold", a, y + LINE / 2 - 1, max(b - a, 1), 2);
		for (const x of each.end === null ? [a] : [a, b]) box("fold", x - 1, y + 7, 2, LINE - 14);
		if (isFolded) for (const event of events) if (instances[event.instance] === each) drawEvent(event, y);
		const text = `${each.cold ? "cold" : "warm"} start of ${brief(each.function, 40)}`;
		if (b - a > 150 && !isFolded) {
			box("head", max(a, gutter) + 6, y + 3, pen.measureText(text).width + 8, LINE - 6);
			say("dim", text, max(a, gutter) + 10, y + LINE / 2);
		}
		if (each.reclaimed) say("dim", `reclaimed: ${brief(each.reclaimed, 60)}`, b + 6, y + LINE / 2, wide - b - 8);
	}
	function drawEvent(event, y) {
		event.statuses.forEach(([t, status, code], i) => {
			const a = X(t);
			const after = event.statuses[i + 1];
			const b = X(after ? after[0] : last);
			const text = statusText(status, code);
			if (after || event.end === null) {
				box("band", a, y + 3, max(b - a, 1), LINE - 10);
				say("onBand", text, max(a, gutter) + 5, y + LINE / 2 - 1, min(b, wide) - max(a, gutter) - 8);
			} else {
				const isGood = status === "FINISHED";
				box(isGood ? "good" : "bad", a, y + 3, 3, LINE - 10);
				say(isGood ? "good" : "bad", `${isGood ? "✓" : "✗"} ${text}`, a + 7, y + LINE / 2 - 1);
			}
		});
		for (const { entered, left: out } of event.signals)
			if (entered !== null) box("signal", X(entered), y + LINE - 7, max(2, X(out ?? event.end ?? last) - X(entered)), 3);
	}
	function drawLane(lane, y) {
		const { begin, item } = waitsOf[lane];
		let drawn = -9;
		for (let i = max(0, find(begin, now[0]) - 1); begin[i] <= now[1]; ) {
			const a = X(begin[i]);
			const b = X(items[item[i]].end);
			// Bars of a pixel or two are one block, up to where the next column begins.
			let next = b - a < 2 ? max(i + 1, find(begin, T(a + 2), i)) : i + 1;
			if (next > i + 1 && X(items[item[next - 1]].end) - a > 3) next--; // a long one after short ones
			if (b - a < 2) box("dense", a, y + 4, max(1.5, X(items[item[next - 1]].end) - a), LINE - 8);
			else drawBar(items[item[i]], a, b, y, lit.has(item[i]));
			for (let h = i; hitItems.size && h < next; h++)
				if (hitItems.has(item[h]) && a - drawn >= 1) box("mark", (drawn = a), y + LINE - 4, max(2, b - a), 3);
			i = next;
		}
		for (const i of lit) {
			if (items[i].lane !== lane) continue;
			const a = max(X(items[i].t), gutter + 1);
			const b = max(min(X(items[i].end), wide + 4), a + 4);
			drawBar(items[i], a, b, y, true);
			pen.strokeStyle = ink.accent;
			pen.lineWidth = 2;
			pen.strokeRect(a, y + 3, b - a, LINE - 6);
		}
	}
	function drawBar({ wait, text }, from, to, y, isLit) {
		const a = max(from, gutter - 4);
		const b = min(to, wide + 4);
		const needs = wait[7] !== null;
		box(isLit ? "lit" : needs ? "needs" : "bar", a, y + 3, b - a - 0.5, LINE - 6);
		pen.strokeStyle = needs ? ink.needsEdge : ink.barEdge;
		pen.lineWidth = 1;
		pen.setLineDash(needs ? [4, 3] : []);
		if (b - a > 5) pen.strokeRect(a + 0.5, y + 3.5, b - a - 1.5, LINE - 7);
		pen.setLineDash([]);
		const x = max(a, gutter) + 6;
		if (b - x > 20) say("text", brief(text, 200), x, y + LINE / 2 + 0.5, b - x - 4);
	}

	// What is at a point of the lanes: the item, or the group, and words for it.
	function under(x, y) {
		const line = y < AXIS ? null : lines[floor((y - AXIS + ui.lanes.scrollTop) / LINE)];
		const group = line && (line.type === "instance" || line.type === "function") ? line.type + line.index : null;
		if (group) return { group, text: `${line.text}: click to ${line.isFolded ? "unfold" : "fold"}` };
		if (x < gutter) return line ? { text: line.text } : {};
		const signal = signalItems.find((item) => abs(X(item.t) - x) <= (line ? 3 : 8));
		if (signal) return { item: signal };
		if (!line) return {};
		let near = null;
		for (const { begin, item } of Object.values(marks.get(line.type[0] + line.index) ?? {})) {
			const at = find(begin, T(x));
			for (const i of [at - 1, at]) if (i in begin && abs(X(begin[i]) - x) < min(5, near ? abs(X(near.t) - x) : 5)) near = items[item[i]];
		}
		if (near) return { item: near };
		if (line.type === "lane") return { item: items[waitAt(line.index, T(x))], text: line.text };
		const status = events[line.index].statuses.findLast(([t]) => t <= T(x));
		return { text: status ? `${statusText(status[1], status[2])}: ${status[3]}` : line.text };
	}

	// -- beside the log: what is selected, and tabs --

	const ENDS = { lock: "only the release of the lock", "own lock": "nothing: its own thread holds the lock", notice: "only another thread or task", thread: "only the end of the thread that it joins", answer: "only an answer on its connection" };
	const link = (i) => button([el("b", brief(laneName(items[i].lane))), " ", brief(items[i].text)], () => select(i), { class: "link" });
	const fact = (name, ...values) => [el("dt", name), el("dd", values)];

	function showDetail() {
		const item = items[chosen];
		const { wait, signal, event } = item;
		const text = clean(item.text);
		const facts = [fact("at", `+${seconds(item.t)} · ${absolute(item.t)}`)];
		if (wait) {
			facts.push(fact("for", duration(item.end - item.t), wait[1] === null ? ", and it did not end" : ""));
			if (wait[7] !== null) facts.push(fact("ends by", ENDS[wait[7]] ?? "nothing that takes time"));
			if (wait[7] !== null) for (const [what, who] of event.holders) facts.push(fact("held", el("b", brief(what)), ` by ${brief(who)}`));
		}
		if (signal) {
			if (signal.entered !== null) facts.push(fact("handler", `ran from +${seconds(signal.entered)} to ${signal.left === null ? "the end" : "+" + seconds(signal.left)}`));
			if (signal.raised) facts.push(fact("raised", brief(signal.raised)));
			for (const i of lit) facts.push(fact("met", link(i)));
		} else if (!wait && lit.size) facts.push(fact("during", link([...lit][0])));
		const whole = text.length > 3000 && button(`all ${number(text.length)} characters`, () => ui.detail.querySelector("pre").replaceChildren(text));
		fill(
			ui.detail,
			el("h2", el(`span.kind.k-${item.kind}`, brief(item.kind)), " ", brief(laneName(item.lane)), events.length > 1 ? el("small", brief(item.event.name)) : ""),
			el("pre", marked(clip(text, 3000))), whole, el("dl", facts)
		);
	}

	let openTab = "Source";
	let fileShown = 0;
	let lineShown = 0;
	let linesShown = []; // elements
	let drawnFor = "";
	const scrolls = {};
	const WORDS = /("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(#.*|\/\/.*)|\b(and|as|async|await|break|case|class|const|continue|def|defer|del|elif|else|except|finally|for|from|func|function|go|if|import|in|is|lambda|let|new|not|or|pass|raise|range|return|select|switch|throw|try|var|while|with|yield|None|True|False|nil|null|true|false)\b|\b\d[\w.]*/g;
	const painted = (line, isPython) => {
		const nodes = [];
		let from = 0;
		for (const found of line.length < 400 ? line.matchAll(WORDS) : []) {
			if (isPython && found[2]?.startsWith("//")) continue;
			nodes.push(line.slice(from, found.index), el(found[1] ? "i.str" : found[2] ? "i.rem" : found[3] ? "i.word" : "i.num", found[0]));
			from = found.index + found[0].length;
		}
		return [...nodes, line.slice(from)];
	};
	// The lines of a file, numbered; *gutterOf* says what is before a line, and its class.
	const listing = (file, gutterOf) =>
		file.lines.map((text, i) => {
			const [note, name] = gutterOf(file.first + i);
			const line = brief(text, 2000);
			return el("div.line" + (name ? "." + name : ""), el("span.note", note), el("span.number", `${file.first + i}`), el("code", needle && has(line) ? marked(line) : painted(line, /\.py$/.test(file.name))));
		});
	function showFile(f, line) {
		const file = files[f];
		const isSame = drawnFor === `${f} ${needle}`;
		fileShown = f;
		lineShown = line;
		if (openTab !== "Source") return;
		if (!file) return ui.pane.replaceChildren(el("p.none", "No source is known."));
		if (!isSame) {
			const old = ui.pane.querySelector(".source");
			if (old) scrolls[drawnFor.split(" ")[0]] = old.scrollTop;
			const choices = files.map((each, i) => button(brief(each.path), () => showFile(i, 0), { class: "file", "aria-pressed": `${i === f}` }));
			linesShown = listing(file, (n) => (waitedAt.has(`${f}:${n}`) ? [`${number(waitedAt.get(`${f}:${n}`))}×`, "met"] : [""]));
			ui.pane.replaceChildren(el("div.files", choices), el("div.source", { tabindex: 0, role: "region", "aria-label": `source of ${brief(file.path)}` }, linesShown));
			ui.pane.lastChild.scrollTop = scrolls[f] ?? 0;
			drawnFor = `${f} ${needle}`;
		}
		linesShown.forEach((each, i) => each.classList.toggle("lit", file.first + i === line));
		const here = linesShown[line - file.first];
		const pane = ui.pane.lastChild;
		const at = here ? here.offsetTop - pane.offsetTop : pane.scrollTop;
		if (at < pane.scrollTop || at > pane.scrollTop + pane.clientHeight - 40) pane.scrollTop = at - pane.clientHeight * 0.4;
	}
	function showPlace([name, line, f, why]) {
		if (f !== null && files[f]) return showFile(f, line);
		drawnFor = "";
		if (openTab === "Source") ui.pane.replaceChildren(el("p.none", `${brief(name)}:${line} is not in this file${why ? ": " + brief(why) : ""}.`));
	}

	const table = (heads, list) => el("table", el("thead", el("tr", heads.map((each) => el("th", each)))), el("tbody", list.map((cells) => el("tr", cells.map((each) => el("td", each))))));
	const TABS = {
		Source: () => {
			drawnFor = "";
			showFile(fileShown, lineShown);
		},
		Waits: () => {
			const lane = max(0, chosen < 0 ? 0 : laneOf(items[chosen]));
			const { item, begin } = waitsOf[lane] ?? { item: [], begin: [] };
			const from = max(0, find(begin, items[chosen]?.t ?? 0) - 100);
			const part = item.slice(from, from + 200);
			const caption = `${brief(laneName(lane))}: ${count(item.length, "wait")}${part.length < item.length ? `, of which ${part.length} around the selection are here` : ""}`;
			return [el("p", caption), table(["at", "for", "wait"], part.map((i) => [`+${seconds(items[i].t)}`, duration(items[i].end - items[i].t), button(brief(items[i].text), () => select(i), { class: "link" })]))];
		},
		"Files and instances": () =>
			instances.map((each) => [
				el("h3", brief(each.name)),
				el("p", `${brief(each.function)}, ${each.cold ? "cold" : "warm"} start, from +${seconds(each.begin)} ${each.end === null ? "on" : "to +" + seconds(each.end)}${each.reclaimed ? ", reclaimed: " + brief(each.reclaimed) : ""}`),
				each.tmp?.length ? table(["/tmp at the end", "bytes"], each.tmp.map(([path, size]) => [brief(path), number(size)])) : el("p", each.tmp ? "/tmp was empty at the end." : "What /tmp had at the end is not known."),
				each.lost_files.length ? el("p.bad", "Lost with the instance: ", brief(each.lost_files.join(", "))) : "",
			]),
		Records: () => {
			const own = [...items.keys()].filter((i) => items[i].kind === "record");
			return own.length ? table(["at", "record"], own.slice(0, 500).map((i) => [`+${seconds(items[i].t)}`, button(brief(items[i].text), () => select(i), { class: "link" })])) : el("p.none", "The handler recorded nothing.");
		},
		Failure: () => el("pre", clean(clip(trace.failure ?? "The test did not fail.", 1e5))),
	};
	function openTabNamed(name) {
		if (openTab === "Source" && ui.pane.lastChild?.className === "source") scrolls[fileShown] = ui.pane.lastChild.scrollTop;
		openTab = name;
		for (const each of ui.tabs.children) {
			each.setAttribute("aria-selected", `${each.textContent === name}`);
			each.tabIndex = each.textContent === name ? 0 : -1;
		}
		const nodes = TABS[name]();
		if (nodes) fill(ui.pane, nodes);
	}

	// -- sweeps --

	// Two lists of lines side by side, of which those that only one has are marked.
	function compared(first, second) {
		const longest = first.map(() => []).concat([[]]);
		const isLong = first.length * second.length > 1e6;
		const length = (i, j) => longest[i]?.[j] ?? 0;
		if (!isLong) for (let i = first.length - 1; i >= 0; i--) for (let j = second.length - 1; j >= 0; j--) longest[i][j] = first[i] === second[j] ? length(i + 1, j + 1) + 1 : max(length(i + 1, j), length(i, j + 1));
		const list = [];
		for (let i = 0, j = 0; i < first.length || j < second.length; ) {
			if (first[i] === second[j] && i < first.length) list.push([first[i++], second[j++]]);
			else if (isLong) list.push([first[i++], second[j++]]);
			else if (j >= second.length || (i < first.length && length(i + 1, j) >= length(i, j + 1))) list.push([first[i++], undefined]);
			else list.push([undefined, second[j++]]);
		}
		return table(["first run", "second run"], list.map((pair) => pair.map((text) => (text === undefined ? "" : el(pair[0] === pair[1] ? "span" : "span.differs", brief(text, 2000))))));
	}
	function copyable(text) {
		const node = el("code", clean(text));
		const copy = button("copy", async () => {
			getSelection().selectAllChildren(node);
			try {
				await navigator.clipboard.writeText(text);
				copy.textContent = "copied";
			} catch {
				copy.textContent = "selected: press Ctrl-C";
			}
		});
		return [node, " ", copy];
	}
	// Equal neighbours as one, with their number.
	const counted = (list) => {
		const pairs = [];
		for (const each of list) if (`${pairs.at(-1)?.[0]}` === `${each}`) pairs.at(-1)[1]++; else pairs.push([each, 1]);
		return pairs;
	};
	function showSweep(s, c) {
		const sweep = sweeps[s];
		const each = sweep.classes[c];
		const place = places[each?.place];
		const heat = max(0, sweep.heat.findIndex((one) => one.file === place?.[2]));
		sweepShown = [s, c];
		const choose = sweep.classes.map((one, i) => button([el("b", brief(one.title)), ` ${count(one.runs, "run")}, ${brief(one.how)}`], () => location.assign(`#s${s}c${i}`), { class: "choice", "aria-pressed": `${i === c}` }));
		const column = (title, ...children) => el("section", el("h2", title), children);
		const source = (h) => {
			const { file, lines: list } = sweep.heat[h];
			const heats = new Map(list.map(([line, ...rest]) => [line, rest]));
			const shown = listing(files[file], (n) => {
				const [runs, failed] = heats.get(n) ?? [];
				const name = !runs ? "" : !failed ? "survives" : failed < runs ? "some" : "all";
				return [!runs ? "" : failed ? `✗ ${failed} of ${runs}` : `✓ ${runs}`, name + (place?.[2] === file && place[1] === n ? ".lit" : "")];
			});
			const pane = el("div.source", { tabindex: 0 }, shown);
			setTimeout(() => (pane.scrollTop = (pane.querySelector(".lit")?.offsetTop ?? 0) - pane.offsetTop - pane.clientHeight * 0.4));
			return [sweep.heat.length > 1 && el("div.files", sweep.heat.map((one, i) => button(brief(files[one.file].path), ({ target }) => fill(target.closest("section"), source(i)), { class: "file", "aria-pressed": `${i === h}` }))), pane];
		};
		const killed = el("li.killed", "✂ killed here");
		const effects = each?.effects.flatMap(([key, text, after, at], i) => [el("li", el("b", brief(key)), ` ${brief(text)} `, el("em", brief(after)), at === null ? "" : el("small", ` ${brief(placeText(at))}`)), i === each.killed_after && killed]);
		fill(
			ui.sweep,
			el("p", [sweep.compared && `Compared: ${brief(sweep.compared)}.`, sweep.ignored.length && `Ignored: ${brief(sweep.ignored.join(", "))}.`, sweep.not_tried.length && `Not tried: ${brief(sweep.not_tried.join(", "))}.`, `${count(sweep.runs, "run")} at ${count(sweep.points, "point")}, ${number(sweep.failed)} failed, in ${sweep.seconds} s.`].filter(Boolean).join(" ")),
			el("nav", { "aria-label": "classes of failures" }, choose),
			el("div.columns",
				sweep.heat.length ? column("Where it was interrupted", source(heat)) : "",
				each ? column("What the kill left", each.explanation ? el("p", brief(each.explanation)) : "", effects.length ? el("ol", each.killed_after === -1 && killed, effects) : el("p", each.how === "forced" ? "What it wrote around the kill is not known." : "It was interrupted by a SIGTERM."), each.survives ? el("p.good", clean(each.survives)) : "") : "",
				each ? column("Kill, then restarts", el("ol.chain", el("li.killed", `✂ ${brief(each.how)}${each.place === null ? "" : " at " + placeText(each.place)}`), each.files.map((file) => el("li", brief(file))), counted(each.attempts).map(([[what, how, why], n]) => el(/FINISHED/.test(what) ? "li" : "li.bad", el("b", brief(what)), ` ${brief(how)}`, n > 1 ? `, ${n} times alike` : "", el("small", brief(why)))), each.differences.map((text) => el("li.bad", `✗ ${brief(text)}`)))) : ""
			),
			each ? el("dl", each.fix ? fact("fix", clean(each.fix)) : "", fact("replay", copyable(each.replay)), each.repro ? fact("without pytest", copyable(each.repro)) : "", each.others.length ? fact("same at", brief(each.others.join(", "), 2000)) : "") : "",
			sweep.pairs.map((pair) => el("details", { open: "" }, el("summary", `Two runs of ${brief(pair.key)} differ: ${brief(pair.why)}`), compared(pair.first, pair.second))),
			each?.timeline ? el("details", el("summary", "Timeline of the interrupted event"), el("pre", clean(each.timeline))) : "",
			el("details", el("summary", "The whole report as text"), el("pre", clean(clip(sweep.report, 1e6))))
		);
	}

	// -- the page --

	const HELP = [["/ or Ctrl-F", "search log, lanes and source; n and N: next, previous"], ["↑ ↓", "previous, next line of the log"], ["← →", "previous, next wait of the lane"], ["Enter", "go to the source"], ["wheel, + −", "zoom the lanes; over the names, scroll them"], ["drag, Shift ← →", "move the lanes"], ["0", "whole time"], ["f", "fold idle time, or not"], ["o", "open folded lines of the log, or fold them"], ["g", "fold instances, or not"], ["t", "dark or light"], ["Esc", "end the search, close this"]];
	const chips = KINDS.filter((kind) => items.some((item) => item.kind === kind)).map((kind) =>
		button(kind, ({ target }) => {
			if (!hidden.delete(kind)) hidden.add(kind);
			target.setAttribute("aria-pressed", `${!hidden.has(kind)}`);
			layLog();
		}, { class: `chip k-${kind}`, "aria-pressed": "true" })
	);
	const field = (label, oninput) => el("input", { type: "search", placeholder: label, "aria-label": label, oninput: ({ target }) => oninput(target.value) });
	const ui = {
		search: field("search (/)", search),
		hits: el("span.hits", { role: "status", "aria-live": "polite" }),
		canvas: el("canvas", { role: "img", "aria-label": `${count(events.length, "event")} and ${count(lanes.length, "lane")} in simulated time; the tab Waits has the selected lane as a table` }),
		lanesSize: el("div"),
		tip: el("div.tip", { hidden: "" }),
		filter: field("filter", (text) => {
			filter = text.toLowerCase();
			layLog();
		}),
		none: el("p.none", "No line of the log passes the filter."),
		logSize: el("div.size"),
		detail: el("section.detail", { "aria-label": "selection" }),
		tabs: el("div.tabs", { role: "tablist" }, Object.keys(TABS).map((name) => button(name, () => openTabNamed(name), { role: "tab", "aria-controls": "pane" }))),
		pane: el("div.pane", { id: "pane", role: "tabpanel" }),
		sweep: el("main.sweep"),
		help: el("dialog", { "aria-label": "keys" }, el("h2", "Keys"), el("dl", HELP.map(([keys, text]) => fact(keys, text))), el("p", "◆ record, ▮▮ gate, ▼ SIGTERM, │ line of the log. A dashed bar is a wait that no time ends. ⟨ 24 h ⟩ is idle time, folded.")),
	};
	ui.lanes = el("section.lanes", { tabindex: 0, "aria-label": "lanes" }, ui.canvas, ui.lanesSize);
	ui.log = el("div.log", { tabindex: 0, role: "listbox", "aria-label": "log" }, ui.logSize);
	ui.main = el("main", ui.lanes, el("div.panes", el("section.left", el("div.bar", ui.filter, chips), ui.none, ui.log), el("section.right", ui.detail, ui.tabs, ui.pane)));
	ui.views = [...sweeps.map((sweep, s) => [`sweep of ${brief(sweep.function)}`, `#s${s}c0`]), ["events", "#events"]].map(([text, hash]) => button(text, () => location.assign(hash), { class: "view" }));
	const isFailed = trace.outcome === "failed" || trace.outcome === "error";
	const [path, ...test] = trace.test.split("::");
	const themes = matchMedia("(prefers-color-scheme: dark)");
	const fold = (work) => (work(), layLanes(), redraw());
	const foldTime = () => fold(() => {
		isFolding = !isFolding;
		layAxis();
		resetView();
	});
	const root = document.documentElement;
	const setTheme = (isDark) => {
		root.dataset.theme = isDark ? "dark" : "light";
		readInk();
	};
	const turnTheme = () => setTheme(root.dataset.theme === "light");
	document.body.append(
		el("header",
			el("div.bar", el("span.test", el("small", brief(path) + (test.length ? "::" : "")), el("b", brief(test.join("::")))), sweeps.length && events.length ? el("nav", ui.views) : "", ui.search, ui.hits, button("idle time", foldTime, { title: "fold idle time, or not (f)" }), button("◐", turnTheme, { "aria-label": "dark or light" }), button("?", () => ui.help.showModal(), { "aria-label": "keys" })),
			el(`h1.${isFailed ? "bad" : "good"}`, `${isFailed ? "✗" : trace.outcome === "passed" ? "✓" : "○"} ${clean(clip(trace.headline, 2000))}`),
			(told?.why ?? []).map((line) => {
				const [, name, text] = /^([\w ]{1,24}: )?(.*)$/s.exec(line);
				return !trace.headline.includes(text) && el("p.why", el("b", name ?? ""), brief(text, 2000));
			}),
			trace.cut.map((text) => el("p.cut", `⚠ ${brief(text)}`)),
			el("p.times", [events.length && `from ${absolute(0)} · ${duration(last)} simulated`, real].filter(Boolean).join(" · "))
		),
		ui.main, ui.sweep, ui.tip, ui.help
	);

	function readInk() {
		const style = getComputedStyle(root);
		ink = {};
		for (const name of ["text", "dim", "line", "fold", "folded", "head", "accent", "signal", "record", "gate", "instance", "good", "bad", "band", "onBand", "bar", "barEdge", "needs", "needsEdge", "lit", "dense", "mark"]) ink[name] = style.getPropertyValue("--" + name);
		ink.font = "12px system-ui, sans-serif";
		redraw();
	}
	function follow() {
		const [, s, c, key] = /^#(?:s(\d+)c(\d+)|(e\d+[wls]\d+))$/.exec(location.hash) ?? [];
		const isSweep = sweeps.length && (sweeps[s] || !events.length || (!location.hash && sweeps[0]));
		ui.main.hidden = isSweep;
		ui.sweep.hidden = !isSweep;
		ui.views.forEach((view, i) => view.setAttribute("aria-pressed", `${i === (isSweep ? +(s ?? 0) : sweeps.length)}`));
		if (isSweep) return showSweep(+(s ?? 0), +(c ?? 0));
		const isNew = sweepShown || chosen < 0;
		sweepShown = null;
		if (isNew) fit();
		const i = byKey.get(key) ?? (chosen < 0 ? answer() : chosen);
		if (i !== chosen || isNew) select(i, true, true);
	}
	function fit() {
		gutter = innerWidth < 760 ? 110 : 190;
		layLanes();
		resetView();
		layLog();
	}

	let grip = null;
	const at = ({ clientX, clientY }) => {
		const { x, y } = ui.canvas.getBoundingClientRect();
		return [clientX - x, clientY - y];
	};
	ui.canvas.addEventListener("wheel", (event) => {
		const [x] = at(event);
		if (x < gutter) return;
		event.preventDefault();
		if (event.shiftKey || abs(event.deltaX) > abs(event.deltaY)) pan(event.deltaX || event.deltaY);
		else zoom(1.002 ** -event.deltaY, x);
	}, { passive: false });
	ui.canvas.addEventListener("pointerdown", (event) => {
		grip = { x: event.clientX, isMoved: false };
		ui.canvas.setPointerCapture(event.pointerId);
	});
	ui.canvas.addEventListener("pointermove", (event) => {
		const [x, y] = at(event);
		if (grip && (grip.isMoved ||= abs(event.clientX - grip.x) > 3)) {
			pan(grip.x - event.clientX);
			grip.x = event.clientX;
		}
		const { item, text } = under(x, y);
		const t = round(T(x));
		const isTime = x >= gutter && t >= 0 && t <= last;
		ui.tip.replaceChildren(el("b", isTime ? `+${seconds(t)}` : ""), isTime ? ` ${absolute(t)}${real && `, the test took ${real}`}` : "", el("div", item ? `${brief(item.text, 200)}${item.wait ? `, for ${duration(item.end - item.t)}` : ""}` : (text ?? "")));
		ui.tip.hidden = !isTime && !text;
		ui.tip.style.left = `${min(event.clientX + 14, innerWidth - ui.tip.offsetWidth - 8)}px`;
		ui.tip.style.top = `${event.clientY + 16}px`;
	});
	ui.canvas.addEventListener("pointerleave", () => (ui.tip.hidden = true));
	ui.canvas.addEventListener("pointerup", (event) => {
		const isClick = grip && !grip.isMoved;
		grip = null;
		if (!isClick) return;
		const { item, group } = under(...at(event));
		if (group) fold(() => closed.delete(group) || closed.add(group));
		else if (item) select(byKey.get(item.key));
	});
	ui.lanes.addEventListener("scroll", redraw);
	ui.log.addEventListener("scroll", drawLog);
	ui.tabs.addEventListener("keydown", ({ key }) => {
		const names = Object.keys(TABS);
		const by = { ArrowRight: 1, ArrowLeft: -1 }[key];
		if (!by) return;
		const next = (names.indexOf(openTab) + by + names.length) % names.length;
		openTabNamed(names[next]);
		ui.tabs.children[next].focus();
	});

	const KEYS = {
		ArrowUp: () => step(-1),
		ArrowDown: () => step(1),
		ArrowLeft: () => stepWait(-1),
		ArrowRight: () => stepWait(1),
		Enter: () => {
			openTabNamed("Source");
			ui.pane.querySelector(".source")?.focus();
		},
		"+": () => zoom(1.5, gutter + (wide - gutter) / 2),
		"-": () => zoom(1 / 1.5, gutter + (wide - gutter) / 2),
		0: resetView,
		f: foldTime,
		g: () => fold(() => {
			const isAny = closed.size;
			closed.clear();
			if (!isAny) instances.forEach((_, i) => closed.add(`instance${i}`));
		}),
		o: () => {
			const isAny = openFolds.size;
			openFolds.clear();
			if (!isAny) for (const event of events) for (const each of event.fold) openFolds.add(each);
			layLog();
		},
		n: () => nextHit(1),
		N: () => nextHit(-1),
		t: turnTheme,
		"?": () => ui.help.showModal(),
	};
	KEYS["="] = KEYS["+"];
	document.addEventListener("keydown", (event) => {
		const { key, target } = event;
		const isSearch = target === ui.search;
		if ((key === "f" && (event.ctrlKey || event.metaKey) && !isSearch) || (key === "/" && !target.matches("input"))) ui.search.select();
		else if (key === "Escape" && target.matches("input")) {
			target.value = "";
			target.dispatchEvent(new Event("input"));
			ui.log.focus();
		} else if (isSearch && key === "Enter") nextHit(event.shiftKey ? -1 : 1);
		else if (event.ctrlKey || event.metaKey || event.altKey || ui.help.open || target.matches("input") || (sweepShown && !"t?".includes(key))) return;
		else if (event.shiftKey && key === "ArrowLeft") pan(-80);
		else if (event.shiftKey && key === "ArrowRight") pan(80);
		else if (!KEYS[key] || (target.closest("button, .right, summary") && /^(Arrow|Enter)/.test(key))) return;
		else KEYS[key]();
		event.preventDefault();
	});
	addEventListener("hashchange", follow);
	addEventListener("resize", () => sweepShown || fit());
	themes.addEventListener("change", () => setTheme(themes.matches));
	layAxis();
	setTheme(themes.matches);
	openTabNamed("Source");
	follow();
})();
