
"use strict"
// What is seen: lists of cards, filters, and the keys. Names and paths are put in as text, never as markup.
const at = id => document.getElementById(id)
const element = (tag, text = "", properties = {}) =>
  Object.assign(document.createElement(tag), {textContent: text}, properties)
const BLANK = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
const PER_PAGE = 48, MOST_OPTIONS = 50
const FILTERS = ["given", "suggested", "flagged", "decision", "search"]
const BUTTONS = {keep: "keep", suggestion: "suggestion", class: "other…", drop: "drop", unsure: "unsure"}
const KEYS = {k: "keep", s: "suggestion", c: "class", d: "drop", u: "unsure"}
const number = n => n.toLocaleString("en")
const many = (n, noun) => `${number(n)} ${noun}${n === 1 ? "" : "s"}`
const lists = [{
  name: "wrong class", order: data.given.map((_, n) => n),
  about: "Labels that the networks doubt, the most suspicious first: what is it, then?"
    + ("probability" in data.scores ? " The probability that the given label is wrong is an estimate." : ""),
}, ...data.lists]
const twins = new Set(data.lists.find(({id}) => id === "duplicates")?.order)
const flaggedCount = data.flagged.reduce((sum, one) => sum + one, 0)
let list = 0, rows = [], page = 0  // rows: places in the list that is shown
let current = 0  // the place in rows of the sample that keys decide on
let asked = -1  // the sample that is to get another class

// --- written once ------------------------------------------------------------------------------------

at("title").textContent = document.title = data.title
for (const line of data.summary) at("summary").append(element("p", line))
at("matrix").alt = data.matrix
at("legend").textContent = data.legend.map(([mark, name]) => `${mark} ${name}`).join(", ")
for (const [given, suggested, count] of data.confusions) {
  const text = `${data.classes[given]} → ${data.classes[suggested]}: ${number(count)}`
  at("confusions").append(element("button", text, {onclick: () => set({given, suggested, flagged: "all"})}))
}
if (!data.confusions.length) at("confusions").textContent = "No label is flagged."
lists.forEach(({name, order}, k) => at("lists").append(
  element("button", `${name} (${number(order.length)})`, {onclick: () => { list = k; filter() }})))
at("problems").hidden = !data.problems.length
at("problems").firstChild.textContent = `${many(data.problem_count, "problem")} in the input`
for (const cells of data.problems) {
  const row = at("problems").querySelector("tbody").insertRow()
  for (const cell of cells) row.insertCell().textContent = cell
}
if (data.problem_count > data.problems.length)
  at("problems").append(element("p", `The first ${data.problems.length} are shown; all are in problems.csv.`))
const offer = (id, pairs) => at(id).append(...pairs.map(([value, text]) => element("option", text, {value})))
for (const id of ["given", "suggested"])
  offer(id, [["", "any class"], ...data.classes.map((name, k) => [k, name])])
const detectors = Object.keys(data.by)
offer("flagged", [["", "any"], ["all", detectors.length > 1 ? `by ${detectors.join(" and ")}` : "flagged"],
  ...(detectors.length > 1 ? detectors.map(name => [name, `by ${name}`]) : [])])
offer("decision", [["", "any"], ["none", "undecided"], ["some", "decided"], ...DECISIONS.map(name => [name, name])])
at("twins-only").hidden = !twins.size

// How many errors the first of the list are expected to hold: a line, and a band for its range.
function drawCurve(rows) {
  const svg = at("curve").querySelector("svg"), [left, right, top, bottom] = [48, 390, 8, 195]
  const most = rows.at(-1)[0], highest = Math.max(1, ...rows.map(([, , , high]) => high))
  const x = n => left + (right - left) * n / most, y = errors => bottom - (bottom - top) * errors / highest
  const path = points => "M" + points.map(([n, errors]) => `${x(n).toFixed(1)} ${y(errors).toFixed(1)}`).join("L")
  const add = (tag, properties, text = "") => {
    const node = document.createElementNS(svg.namespaceURI, tag)
    for (const [name, value] of Object.entries(properties)) node.setAttribute(name, value)
    node.textContent = text
    svg.append(node)
  }
  const low = rows.map(([n, , one]) => [n, one]), high = rows.map(([n, , , one]) => [n, one])
  add("path", {class: "axis", d: `M${left} ${top}V${bottom}H${right}`})
  add("path", {class: "range", d: path([[0, 0], ...high, ...low.reverse()]) + "Z"})
  add("path", {class: "line", d: path([[0, 0], ...rows])})
  for (const share of [0, .5, 1]) {
    add("text", {x: x(share * most), y: bottom + 15, "text-anchor": share ? "end" : "middle"}, number(Math.round(share * most)))
    add("text", {x: left - 5, y: y(share * highest) + 4, "text-anchor": "end"}, number(Math.round(share * highest)))
  }
  add("text", {x: right, y: bottom + 31, "text-anchor": "end"}, "samples looked at")
  const [n, errors, least, largest] = rows.at(-1)
  svg.setAttribute("aria-label", `Expected wrong labels by samples looked at, to ${errors} (${least} to ${largest}) among all ${number(n)}.`)
  at("curve").hidden = false
}
if (data.expected.length) drawCurve(data.expected)

// --- a card ------------------------------------------------------------------------------------------

function picture(n, alt) {
  const href = data.base === null ? "" : data.links[n] ?? data.base + pathToLink(data.paths[n])
  const size = data.tile, tile = n < data.thumbnails ? n : data.beyond[n]
  let shown = null
  if (tile !== undefined) {
    const spot = tile % data.per_sheet, column = spot % data.columns, line = Math.floor(spot / data.columns)
    shown = element("img", "", {src: BLANK, alt, width: size, height: size})
    const sheet = String(Math.floor(tile / data.per_sheet)).padStart(4, "0")
    shown.style.background = `url(thumbs/${sheet}.jpg) ${-column * size}px ${-line * size}px`
  } else if (href) {
    shown = element("div", "open the image", {className: "none"})
    shown.style.height = size + "px"
  }
  if (!shown || !href) return shown ?? ""
  const link = element("a", "", {href, title: "open the image", target: "_blank", rel: "noopener noreferrer"})
  link.append(shown)
  return link
}

function card(place, spot) {
  const n = lists[list].order[place]  // the rank, from 0, in the list of wrong classes
  const given = data.classes[data.given[n]], suggested = data.classes[data.suggested[n]]
  const figure = element("figure", "", {tabIndex: -1})
  figure.dataset.sample = n
  figure.dataset.spot = spot
  const alt = `${data.paths[n]}: labelled ${given}, suggested ${suggested}, rank ${n + 1}`
  const caption = element("figcaption"), labels = element("div"), choices = element("div", "", {className: "choices"})
  for (const text of ["given", given, "suggested", suggested])
    labels.append(element(labels.childElementCount % 2 ? "strong" : "span", text))
  const scores = Object.entries(data.scores).map(([name, values]) => `${name} ${values[n]?.toFixed(3) ?? "–"}`).join(" · ")
  if (data.texts) caption.append(element("p", data.texts[n], {className: "text"}))
  const rank = element("small", (lists[list].captions?.[place] ?? `rank ${number(place + 1)}`) + " ")
  if (data.flagged[n]) rank.append(element("b", "flagged"))
  caption.append(labels, rank, element("small", scores), element("small", data.paths[n], {className: "path"}),
    element("small", "", {className: "verdict"}))
  for (const decision of DECISIONS) {
    const button = element("button", BUTTONS[decision], {tabIndex: -1})
    button.dataset.decision = decision
    button.disabled = decision === "suggestion" && data.suggested[n] === data.given[n]
    choices.append(button)
  }
  figure.append(picture(n, alt), caption, choices)
  mark(figure)
  return figure
}

// Writes what is decided of a sample on its card.
function mark(figure) {
  const n = Number(figure.dataset.sample), [decision, k] = decisions.get(n) ?? ["", -1]
  const given = data.classes[data.given[n]], suggested = data.classes[data.suggested[n]]
  const verdict = {"": "", keep: "kept", drop: "dropped", unsure: "unsure"}[decision] ?? `now ${nameOf(k)}`
  figure.className = (data.flagged[n] ? "flagged " : "") + (decision ? "decided" : "")
  figure.querySelector(".verdict").textContent = verdict
  figure.setAttribute("aria-label", `sample ${n + 1}: given ${given}, suggested ${suggested}, ${verdict || "undecided"}`)
  for (const button of figure.querySelectorAll("button"))
    button.setAttribute("aria-pressed", button.dataset.decision === decision)
}

// --- pages and filters -------------------------------------------------------------------------------

// The page that holds the current sample. focus: whether the keyboard goes there, too.
function show(focus = false) {
  const last = Math.max(0, Math.ceil(rows.length / PER_PAGE) - 1)
  current = Math.min(Math.max(current, 0), Math.max(rows.length - 1, 0))
  page = Math.floor(current / PER_PAGE)
  const start = page * PER_PAGE
  at("cards").replaceChildren(...rows.slice(start, start + PER_PAGE).map((place, k) => card(place, start + k)))
  at("where").textContent = rows.length
    ? `page ${number(page + 1)} of ${number(last + 1)}, ${many(rows.length, "sample")}` : "nothing matches"
  at("previous").disabled = page === 0
  at("next").disabled = page === last
  const state = new URLSearchParams()
  for (const id of FILTERS) if (at(id).value) state.set(id, at(id).value)
  if (at("twins").checked) state.set("twins", 1)
  if (list) state.set("list", list)
  if (page && !at("decision").value) state.set("page", page + 1)  // decided samples leave such a list
  history.replaceState(null, "", "#" + state)
  point(focus)
}

function point(focus) {
  for (const figure of at("cards").children) {
    const here = Number(figure.dataset.spot) === current
    figure.tabIndex = here ? 0 : -1
    figure.setAttribute("aria-current", here)
    for (const button of figure.querySelectorAll("button")) button.tabIndex = here ? 0 : -1
    const link = figure.querySelector("a")
    if (link) link.tabIndex = here ? 0 : -1
    if (here && focus) figure.focus()
  }
}

function go(to, focus = true) {
  if (to < 0 || to >= rows.length) return
  current = to
  Math.floor(to / PER_PAGE) === page ? point(focus) : show(focus)
}

function turn(pages, focus = true) {
  go((page + pages) * PER_PAGE, focus)
  if (at("cards").getBoundingClientRect().top < 0) at("cards").firstElementChild?.scrollIntoView()
}

function wanted() {
  const {given, suggested, flagged, decision, search} = Object.fromEntries(FILTERS.map(id => [id, at(id).value]))
  const text = search.toLowerCase(), needsTwin = at("twins").checked
  const said = {none: made => !made, some: made => made}[decision] ?? (made => made === decision)
  const flags = flagged === "all" ? data.flagged : data.by[flagged]
  return n => (given === "" || data.given[n] === Number(given))
    && (suggested === "" || data.suggested[n] === Number(suggested)) && (!flags || flags[n])
    && (!decision || said(decisions.get(n)?.[0])) && (!needsTwin || twins.has(n))
    && (!text || [data.paths[n], data.texts?.[n] ?? ""].some(one => one.toLowerCase().includes(text)))
}

function filter(start = 0) {
  const fits = wanted()
  at("about").textContent = lists[list].about
  for (const [k, button] of [...at("lists").children].entries()) button.setAttribute("aria-pressed", k === list)
  rows = []
  for (const [place, n] of lists[list].order.entries()) if (fits(n)) rows.push(place)
  current = start * PER_PAGE
  show()
}

function set(state) {
  for (const id of FILTERS) {
    at(id).value = state[id] ?? ""
    if (at(id).selectedIndex === -1) at(id).value = ""  // no such option
  }
  at("twins").checked = Boolean(state.twins)
  list = Number(state.list) in lists ? Number(state.list) : 0
  filter(Math.max(0, Math.floor(state.page ?? 1) - 1) || 0)
}

// --- decisions ---------------------------------------------------------------------------------------

const say = text => { at("message").textContent = text }

function tell() {
  let open = flaggedCount
  const counts = Object.fromEntries(DECISIONS.map(name => [name, 0]))
  for (const [n, [decision]] of decisions) {
    counts[decision]++
    open -= data.flagged[n]
  }
  const done = flaggedCount - open, each = DECISIONS.filter(name => counts[name]).map(name => `${name} ${number(counts[name])}`)
  at("progress").max = flaggedCount || data.paths.length || 1
  at("progress").value = flaggedCount ? done : decisions.size
  at("done").textContent = `${number(done)} of ${number(flaggedCount)} flagged decided, ${number(decisions.size)} of `
    + `${number(data.paths.length)} in all` + (each.length ? ` (${each.join(", ")})` : "")
  at("undo").disabled = !steps.length
  for (const name of ["save", "studio"]) at(name).disabled = !decisions.size
  for (const figure of at("cards").children) mark(figure)
}

function change(changes, text) {
  const stored = decide(changes)
  tell()
  say(stored ? text : "this browser keeps nothing: save decisions.csv before you close the page")
}

// The decision on a sample, or its end if it is the one it has. Whether a decision was taken.
function choose(n, decision) {
  if (decision === "class") return ask(n)
  if (decision === "suggestion" && data.suggested[n] === data.given[n]) return say("the suggestion is the given label")
  const k = {keep: data.given[n], suggestion: data.suggested[n]}[decision] ?? -1
  const again = decisions.get(n)?.[0] === decision
  change([[n, again ? null : [decision, k]]], again ? "taken back" : "")
  return !again
}

function takeBack() {
  const n = undo()
  if (n === undefined) return
  tell()
  say("undone")
  const spot = rows.findIndex(place => lists[list].order[place] === n)
  if (spot >= 0) go(spot)
}

// --- another class -----------------------------------------------------------------------------------

const folded = text => text.normalize("NFKC").toLowerCase()
const foldedClasses = data.classes.map(folded)

function ask(n) {
  asked = n
  at("question").textContent = `${data.paths[n]} is labelled ${data.classes[data.given[n]]}. What is it?`
  at("name").value = ""
  listClasses()
  at("classes").showModal()
  at("name").focus()
}

function listClasses() {
  const text = folded(at("name").value.trim())
  const places = data.classes.map((_, k) => k).filter(k => foldedClasses[k].includes(text))
  const begins = k => foldedClasses[k] === text ? 0 : foldedClasses[k].startsWith(text) ? 1 : 2
  if (text) places.sort((a, b) => begins(a) - begins(b) || a - b)
  at("options").replaceChildren(...places.slice(0, MOST_OPTIONS).map(k => {
    const option = element("li", data.classes[k], {id: `class-${k}`, onclick: () => take(k)})
    option.setAttribute("role", "option")
    return option
  }))
  const others = places.length - MOST_OPTIONS
  at("more").textContent = !places.length ? "no class has this in its name" : others > 0 ? `and ${number(others)} more: type on` : ""
  activate(at("options").firstElementChild)
}

function activate(option) {
  for (const other of at("options").children) other.setAttribute("aria-selected", other === option)
  option ? at("name").setAttribute("aria-activedescendant", option.id) : at("name").removeAttribute("aria-activedescendant")
  option?.scrollIntoView({block: "nearest"})
}

function take(k) {
  at("classes").close()
  change([[asked, towards(asked, k)]], "")
  go(Math.min(current + 1, rows.length - 1))
}

at("name").addEventListener("input", listClasses)
at("name").addEventListener("keydown", event => {
  const active = at("options").querySelector("[aria-selected=true]")
  if (event.key === "Enter" && active && !event.isComposing) take(Number(active.id.slice("class-".length)))
  else if (event.key === "ArrowDown" && active) activate(active.nextElementSibling ?? active)
  else if (event.key === "ArrowUp" && active) activate(active.previousElementSibling ?? active)
  else return
  event.preventDefault()
})
at("cancel").onclick = () => at("classes").close()

// --- what is pressed ---------------------------------------------------------------------------------

for (const id of [...FILTERS, "twins"]) at(id).addEventListener("input", () => filter())
at("clear").onclick = () => set({list})
at("previous").onclick = () => turn(-1, false)
at("next").onclick = () => turn(1, false)
at("undo").onclick = takeBack
at("save").onclick = () => {
  download("decisions.csv", "text/csv", toCsv())
  say(`${many(decisions.size, "decision")} saved to decisions.csv, in this browser's folder of downloads; save again after `
    + "more of them. To mend the data: python -m robust_lib mend RUN decisions.csv, RUN being the folder of this page")
}
at("studio").onclick = () => download("label-studio.json", "application/json", toLabelStudio())
at("load").onclick = () => at("file").click()
at("file").onchange = async () => {
  const [file] = at("file").files
  try {
    if (file.size > MOST_BYTES) throw Error(`more than ${number(MOST_BYTES)} bytes`)
    const changes = fromCsv(await file.text())
    change(changes, `${many(changes.length, "decision")} loaded from ${file.name}`)
  } catch (error) {
    say(`${file.name} is not loaded: ${error.message.slice(0, 300)}`)
  }
  at("file").value = ""
}
at("cards").addEventListener("focusin", event => {
  const figure = event.target.closest("figure")
  if (figure && Number(figure.dataset.spot) !== current) go(Number(figure.dataset.spot), false)
})
at("cards").addEventListener("click", event => {
  const figure = event.target.closest("figure"), decision = event.target.dataset.decision
  if (!figure) return
  go(Number(figure.dataset.spot), false)
  if (decision) choose(Number(figure.dataset.sample), decision)
})
document.addEventListener("keydown", event => {
  if (event.target.matches("select, [type=search]") || at("classes").open || event.altKey) return
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key
  if ((event.ctrlKey || event.metaKey) && !(key === "z" && !event.shiftKey)) return
  const wide = getComputedStyle(at("cards")).gridTemplateColumns.split(" ").length
  const move = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -wide, ArrowDown: wide}[key]
  const decision = KEYS[key], n = lists[list].order[rows[current]]
  if (move) go(current + move)
  else if (decision && n !== undefined) choose(n, decision) && go(Math.min(current + 1, rows.length - 1))
  else if (key === "n" || key === "p") turn(key === "n" ? 1 : -1)
  else if (key === "z") takeBack()
  else if (key === "?") at("keys").open = !at("keys").open
  else return
  event.preventDefault()
})
addEventListener("storage", event => {  // another tab has decided
  if (event.key !== STORED) return
  restore()
  tell()
})
const fromAddress = () => set(Object.fromEntries(new URLSearchParams(location.hash.slice(1))))
addEventListener("hashchange", fromAddress)
restore()
fromAddress()
tell()
