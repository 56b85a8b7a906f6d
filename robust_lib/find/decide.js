
"use strict"
// What is decided of each sample. The browser keeps it under the run's key; a CSV takes it elsewhere.
const data = JSON.parse(document.getElementById("data").textContent)
const DECISIONS = ["keep", "suggestion", "class", "drop", "unsure"]
const COLUMNS = ["run", "index", "path", "given", "decision", "label"]
const STORED = `robust_lib find ${data.key}`
const MOST_BYTES = 64 * 2 ** 20, MOST_STEPS = 10_000
const decisions = new Map()  // by sample, its place in data.paths: [decision, number of the class or -1]
const steps = []  // to undo: what some samples had before
const sampleOf = new Map(data.index.map((place, n) => [String(place), n]))
const classOf = new Map(data.classes.map((name, k) => [name, k]))

// A decision on sample n, or null where it cannot be one: what is stored or loaded is never trusted.
function checked(n, decision, label) {
  const k = classOf.get(label) ?? -1
  if (decision === "keep" && k === data.given[n]) return [decision, k]
  if ((decision === "suggestion" || decision === "class") && k >= 0 && k !== data.given[n]) return [decision, k]
  return (decision === "drop" || decision === "unsure") && label === "" ? [decision, -1] : null
}

// Another class by its number; it is called what it is.
const towards = (n, k) => [k === data.given[n] ? "keep" : k === data.suggested[n] ? "suggestion" : "class", k]
const nameOf = k => k < 0 ? "" : data.classes[k]

// changes: pairs of a sample and its new decision, or null for none. One step of undo.
function decide(changes) {
  steps.push(changes.map(([n]) => [n, decisions.get(n) ?? null]))
  if (steps.length > MOST_STEPS) steps.shift()
  return apply(changes)
}

function undo() {
  const before = steps.pop()
  if (before) apply(before)
  return before?.[0]?.[0]
}

function apply(changes) {
  for (const [n, decision] of changes) decision ? decisions.set(n, decision) : decisions.delete(n)
  const kept = {}
  for (const [n, [decision, k]] of decisions) kept[data.index[n]] = [decision, nameOf(k)]
  try {
    localStorage.setItem(STORED, JSON.stringify(kept))
    return true
  } catch {  // forbidden, or full
    return false
  }
}

function restore() {
  decisions.clear()
  let kept = null
  try {
    kept = JSON.parse(localStorage.getItem(STORED))
  } catch {}
  if (typeof kept !== "object" || kept === null) return
  for (const [place, pair] of Object.entries(kept)) {
    const n = sampleOf.get(place)
    const decision = n !== undefined && Array.isArray(pair) ? checked(n, ...pair) : null
    if (decision) decisions.set(n, decision)
  }
}

// Spreadsheet programs are not to compute a cell; find/cells.py has the same two functions.
const NUMBER = /^[+-]?\d+(\.\d*)?$/
const defused = text =>
  NUMBER.test(text) ? text : text.replace(/(^|[;\t\r\n])(["\s]*['=+\-@＝＋－＠])/g, "$1'$2")
const plain = cell => cell.replace(/(^|[;\t\r\n])'(["\s]*['=+\-@＝＋－＠])/g, "$1$2")

function toCsv() {
  const quoted = text => /[",;\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  const lines = [COLUMNS.join(",")]
  for (const n of [...decisions.keys()].sort((a, b) => data.index[a] - data.index[b])) {
    const [decision, k] = decisions.get(n)
    const row = [data.key, String(data.index[n]), data.paths[n], data.classes[data.given[n]], decision, nameOf(k)]
    lines.push(row.map(text => quoted(defused(text))).join(","))
  }
  return lines.join("\n") + "\n"
}

// Rows of cells, as RFC 4180 has them.
function rowsOf(text, delimiter) {
  const rows = [], pattern = new RegExp(`(?:"([^"]*(?:""[^"]*)*)"|([^"${delimiter}\\r\\n]*))(${delimiter}|\\r\\n|\\r|\\n|$)`, "y")
  let row = []
  while (pattern.lastIndex < text.length) {
    const at = pattern.lastIndex, cell = pattern.exec(text)
    if (!cell) throw Error(`row ${rows.length + 1} cannot be read: a quote does not fit, at letter ${at + 1}`)
    row.push(cell[1] === undefined ? cell[2] : cell[1].replaceAll('""', '"'))
    if (cell[3] !== delimiter) {
      rows.push(row)
      row = []
    }
  }
  if (row.length) rows.push([...row, ""])
  return rows
}

// The changes that a file of decisions makes. Throws an Error that says what is wrong: then nothing is changed.
function fromCsv(text) {
  text = text.replace(/^\uFEFF/, "")
  const first = text.split(/[\r\n]/, 1)[0]
  const delimiter = [",", ";", "\t"].find(letter => COLUMNS.every(name => first.split(letter).includes(name)))
  if (!delimiter) throw Error(`the columns must be ${COLUMNS.join(", ")}`)
  const [head, ...rows] = rowsOf(text, delimiter)
  const changes = new Map()
  for (const [number, cells] of rows.entries()) {
    if (cells.every(cell => cell === "")) continue
    const [run, index, path, given, decision, label] = COLUMNS.map(name => plain(cells[head.indexOf(name)] ?? ""))
    const row = `row ${number + 2}`
    if (run !== data.key) throw Error(`${row} is of another run`)
    const n = sampleOf.get(index)
    if (n === undefined || data.paths[n] !== path || data.classes[data.given[n]] !== given)
      throw Error(`${row}: this run shows no sample ${index}, ${path}, labelled ${given}`)
    if (changes.has(n)) throw Error(`${row}: a second decision on sample ${index}`)
    if (label !== "" && !classOf.has(label)) throw Error(`${row}: ${label} is no class of this run`)
    const value = checked(n, decision, label)
    if (!value) throw Error(`${row}: ${decision} with the label ${label || "(none)"} is no decision`)
    changes.set(n, value)
  }
  return [...changes]
}

// Tasks with one annotation each, for Label Studio's import: Choices named label and decision.
function toLabelStudio() {
  const pictures = data.base !== null
  const object = pictures ? "image" : "text"
  const choice = (name, text) => ({from_name: name, to_name: object, type: "choices", value: {choices: [text]}})
  return JSON.stringify([...decisions.keys()].sort((a, b) => data.index[a] - data.index[b]).map(n => {
    const [decision, k] = decisions.get(n), given = data.classes[data.given[n]]
    const shown = pictures ? {image: "/data/local-files/?d=" + pathToLink(data.paths[n])} : {text: data.texts?.[n] ?? data.paths[n]}
    const suggested = choice("label", data.classes[data.suggested[n]])
    return {
      data: {...shown, path: data.paths[n], index: data.index[n], given},
      annotations: [{result: [...(k < 0 ? [] : [choice("label", nameOf(k))]), choice("decision", decision)]}],
      predictions: [{model_version: "robust_lib find", result: [suggested]}],
    }
  }), null, 1) + "\n"
}

const pathToLink = path => path.split("/").map(encodeURIComponent).join("/")

function download(name, type, text) {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(new Blob([text], {type}))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}
