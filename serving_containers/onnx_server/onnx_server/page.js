"use strict";
const MOST = 20000;

function row(value, length) {
  if (!Array.isArray(value)) {
    return value && typeof value === "object"
      ? Object.values(value).map((v) => row(v, length)).find(Boolean) : undefined;
  }
  if (value.length === length && value.every((v) => typeof v === "number")) return value;
  return value.map((v) => row(v, length)).find(Boolean);
}

function best(answer, labels) {
  const scores = labels.length ? row(answer, labels.length) : undefined;
  if (!scores) return null;
  const list = document.createElement("ol");
  scores.map((score, i) => [score, labels[i]]).sort((a, b) => b[0] - a[0]).slice(0, 5)
    .forEach(([score, label]) => {
      const item = document.createElement("li");
      item.textContent = label + " (" + score.toPrecision(4) + ")";
      list.append(item);
    });
  return list;
}

function body(form) {
  const text = form.querySelector("textarea"), file = form.querySelector("input[type=file]");
  if (file) {
    if (!file.files.length) throw new Error("Choose a file first.");
    return [file.files[0], form.dataset.type || file.files[0].type || "application/octet-stream"];
  }
  if (form.dataset.kind === "text") {
    const lines = text.value.split("\n").filter((line) => line.trim());
    return [JSON.stringify({ instances: lines }), "application/json"];
  }
  return [text.value, "application/json"];
}

function show(output, status, failed, parts) {
  const line = document.createElement("p");
  line.textContent = status;
  if (failed) line.className = "bad";
  output.replaceChildren(line, ...parts.filter(Boolean));
}

async function send(form) {
  const output = form.querySelector("output"), button = form.querySelector("button");
  const headers = { Accept: "application/json" }, token = document.getElementById("token").value;
  if (token) headers.Authorization = "Bearer " + token;
  button.disabled = true;
  try {
    const [content, type] = body(form);
    headers["Content-Type"] = type;
    const start = performance.now();
    const response = await fetch(form.dataset.path, { method: "POST", headers, body: content });
    let text = await response.text();
    const ms = (performance.now() - start).toFixed(1);
    let list = null;
    try {
      const answer = JSON.parse(text);
      if (response.ok) list = best(answer, JSON.parse(form.dataset.labels));
      text = JSON.stringify(answer, null, 1);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
    const pre = document.createElement("pre");
    pre.tabIndex = 0;
    pre.textContent = text.length > MOST ? text.slice(0, MOST) + "\n… cut" : text;
    const status = response.status + " " + response.statusText + " · " + ms + " ms";
    show(output, status, !response.ok, [list, pre]);
  } catch (error) {
    show(output, error.message, true, []);
  } finally {
    button.disabled = false;
  }
}

for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", (event) => { event.preventDefault(); send(form); });
}
