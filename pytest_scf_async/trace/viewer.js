"use strict";
const facts = JSON.parse(document.getElementById("trace").textContent);
function add(name, text) {
  const element = document.createElement(name);
  element.textContent = text;
  document.body.append(element);
}
add("h1", `${facts.outcome}: ${facts.test}`);
add("p", facts.headline);
for (const event of facts.events) {
  add("h2", `${event.function} ${event.status} ${event.code}`);
  add("pre", event.why.join("\n"));
  add("pre", event.entries.map(([time, kind, text]) => `+${time / 1e6} s  ${kind}  ${text}`).join("\n"));
}
for (const sweep of facts.sweeps) add("pre", sweep.report);
