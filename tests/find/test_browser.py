"""The page in a real browser, without a network: decisions by keys, kept, saved, loaded; and who can use it.

They need playwright and Chromium, Debian's or playwright's own, and are skipped where one is missing.
"""

import csv
import io
import json
import time
from pathlib import Path

import numpy as np
import pytest

from robust_lib.find import cells, mend, pages, search
from robust_lib.find.mend import COLUMNS
from tests.find.made import findings

CLASSES = ("cat <script>pwned = 1</script>", "犬 🐈", "=cmd|' /C calc'!A0", "d\"'&amp;", "plain", "-1")
NAMES = {
    0: "a, b;=1.png",
    1: "<img src=x onerror=pwned=1>.png",
    2: "猫/🐈 %41#?.png",
    3: "@sum.png",
    4: 'quote".png',
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """60 samples of six classes with odd names; of the first 60 ranks every sixth is flagged."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "_matrix_figure", lambda *_: {"png": b"", "svg": b""})
        found = findings(tmp_path_factory.mktemp("made"), 60, CLASSES, NAMES)
        pages.write(found)
    return found


@pytest.fixture
def opened(browser):
    """Opens a page of a run in a profile of its own, and fails for what goes wrong or leaves its folder."""
    contexts, faults = [], []

    def opened(found, context=None):
        if context is None:
            context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
            contexts.append(context)
        page, home = context.new_page(), found.out.as_uri() + "/"
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(dialog.message))
        page.on("request", lambda r: r.url.startswith((home, "data:", "blob:")) or faults.append(r.url))
        page.goto((found.out / "index.html").as_uri())
        return page

    opened.faults = faults
    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def sample(found, rank):
    """Its position in the data, of a rank from 0."""
    return int(found.ranking[rank])


def decided(page):
    return page.evaluate("[...decisions].sort((a, b) => a[0] - b[0])")


def press(page, *keys):
    for key in keys:
        page.keyboard.press(key)


def saved(page, button="#save"):
    with page.expect_download() as caught:
        page.click(button)
    return Path(caught.value.path()).read_text(encoding="utf-8")


def until(page, condition, seconds=60):
    """Wait for what playwright's wait_for_function waits for with eval, which the page does not allow."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"waited {seconds} s for {condition}"
        page.wait_for_timeout(20)


def load(page, text):
    page.evaluate("document.getElementById('message').textContent = ''")
    page.set_input_files("#file", {"name": "d.csv", "mimeType": "text/csv", "buffer": text.encode()})
    until(page, "document.getElementById('message').textContent.includes('d.csv')")
    return page.inner_text("#message")


def test_every_decision_by_its_key(made, opened):
    page = opened(made)
    flags = made.flagged[made.ranking]
    flagged = int(np.flatnonzero(flags)[-1])
    first = next(rank for rank in range(60) if not flags[rank : rank + 3].any())
    page.evaluate(f"go({first})")
    press(page, "k", "d", "u")
    page.evaluate(f"go({flagged})")
    press(page, "s")
    given = int(made.data.labels[sample(made, first)])
    expected = {first: ["keep", given], first + 1: ["drop", -1], first + 2: ["unsure", -1]}
    expected[flagged] = ["suggestion", int(made.suggested[sample(made, flagged)])]
    assert decided(page) == [[rank, expected[rank]] for rank in sorted(expected)]
    assert page.evaluate("current") == min(flagged + 1, 59)  # each key went on to the next sample
    done = "1 of 6 flagged decided, 4 of 60 in all (keep 1, suggestion 1, drop 1, unsure 1)"
    assert page.inner_text("#done") == done
    page.evaluate(f"go({first + 1})")
    assert page.inner_text("figure[aria-current=true] .verdict") == "dropped"
    assert page.get_attribute("figure[aria-current=true] [data-decision=drop]", "aria-pressed") == "true"


def test_after_saving_the_page_says_where_the_file_is_and_what_comes_next(made, opened):
    page = opened(made)
    press(page, "d")
    saved(page)
    message = page.inner_text("#message")
    assert message.startswith("1 decision saved to decisions.csv, in this browser's folder of downloads")
    assert "python -m robust_lib mend RUN decisions.csv" in message
    press(page, "d")
    saved(page)
    assert page.inner_text("#message").startswith("2 decisions saved")


def test_another_class_is_searched_by_typing(made, opened):
    page = opened(made)
    page.evaluate("go(7)")
    n = sample(made, 7)
    assert CLASSES[made.data.labels[n]] != "plain"
    press(page, "c")
    assert page.inner_text("#question").startswith(f"{made.data.paths[n]} is labelled ")
    assert page.locator("#options li").all_inner_texts() == list(CLASSES)
    page.keyboard.type("LA")
    assert page.locator("#options li").all_inner_texts() == ["plain"]
    page.keyboard.type("x")
    assert page.inner_text("#more") == "no class has this in its name"
    press(page, "Enter")
    assert decided(page) == []
    press(page, "Backspace", "Enter")
    assert decided(page) == [[7, ["class", CLASSES.index("plain")]]]
    press(page, "c", "Escape", "c", "ArrowDown", "Enter")
    assert len(decided(page)) == 2
    assert page.evaluate("current") == 9


def test_undo_and_taking_back(made, opened):
    page = opened(made)
    press(page, "k", "d")
    page.evaluate("go(0)")
    press(page, "u")
    press(page, "z")
    assert decided(page) == [[0, ["keep", made.data.labels[sample(made, 0)]]], [1, ["drop", -1]]]
    assert page.evaluate("current") == 0
    press(page, "k")  # once more: taken back, and the sample stays the current one
    assert decided(page) == [[1, ["drop", -1]]]
    assert page.evaluate("current") == 0
    press(page, "Control+z", "z", "z", "z")
    assert decided(page) == []
    assert page.is_disabled("#undo")
    assert page.evaluate(f"localStorage['robust_lib find {made.key}']") == "{}"


def test_arrows_and_pages(made, opened):
    page = opened(made)
    wide = page.evaluate("getComputedStyle(at('cards')).gridTemplateColumns.split(' ').length")
    press(page, "ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowLeft")
    assert page.evaluate("current") == 0
    press(page, "ArrowDown")
    assert page.evaluate("current") == wide
    assert page.evaluate("document.activeElement.dataset.spot") == str(wide)
    press(page, "n")
    assert page.inner_text("#where") == "page 2 of 2, 60 samples"
    press(page, "ArrowLeft")
    assert page.evaluate("[page, current]") == [0, 47]
    press(page, "?")
    assert page.evaluate("at('keys').open")
    page.click("#search")
    page.keyboard.type("ndk")  # typed, not taken for keys
    assert decided(page) == []


def test_a_reload_keeps_decisions_page_and_filters(made, opened):
    page = opened(made)
    press(page, "k", "d", "u")
    page.select_option("#flagged", "all")
    before = decided(page)
    page.reload()
    assert decided(page) == before
    assert page.inner_text("#where") == "page 1 of 1, 6 samples"
    assert opened(made).evaluate("decisions.size") == 0  # another profile


def test_filters(made, opened):
    page = opened(made)
    ranks = np.arange(60)
    flags = {name: one.flagged[made.ranking] for name, one in made.detections.items()}
    press(page, "k", "k", "d")

    def left():
        return page.evaluate("rows.map(place => lists[list].order[place])")

    page.select_option("#flagged", "cl")
    assert left() == ranks[flags["cl"]].tolist()
    page.select_option("#flagged", "aum")
    assert left() == ranks[flags["aum"]].tolist()
    page.click("#clear")
    page.select_option("#decision", "none")
    assert left() == ranks[3:].tolist()
    page.select_option("#decision", "keep")
    assert left() == [0, 1]
    page.select_option("#decision", "some")
    assert left() == [0, 1, 2]
    page.click("#clear")
    page.check("#twins")
    assert sorted(sample(made, rank) for rank in left()) == [0, 1]
    page.click("#clear")
    page.click("#confusions button >> nth=0")
    given, suggested = made.data.labels[made.ranking], made.suggested[made.ranking]
    pair = page.evaluate("[Number(at('given').value), Number(at('suggested').value)]")
    assert left() == ranks[(given == pair[0]) & (suggested == pair[1]) & flags["aum"]].tolist()
    page.click("#clear")
    page.fill("#search", "🐈 %41#?")
    assert [sample(made, rank) for rank in left()] == [2]


def test_a_sample_that_is_decided_stays_until_the_filter_is_set_anew(made, opened):
    page = opened(made)
    page.select_option("#decision", "none")
    page.evaluate("go(0)")
    press(page, "k", "k")
    assert page.inner_text("#where") == "page 1 of 2, 60 samples"
    page.reload()
    assert page.inner_text("#where") == "page 1 of 2, 58 samples"


def all_kinds(page, made):
    """Decides on every sample, in the order of the ranking, each word in turn."""
    return page.evaluate("""() => {
        const of = n => [["keep", data.given[n]], towards(n, (data.given[n] + n % 5 + 1) % 6), ["drop", -1],
            ["unsure", -1]][n % 4]
        change(data.paths.map((_, n) => [n, of(n)]), "")
    }""")


def test_decisions_go_through_a_file(made, opened):
    page = opened(made)
    all_kinds(page, made)
    before, text = decided(page), saved(page)
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == list(COLUMNS)
    assert [int(row[1]) for row in rows[1:]] == list(range(60))
    for row in rows[1:]:
        assert not any(cell.startswith(tuple("=+@")) for cell in row)
        n = int(row[1])
        assert cells.plain(row[2]) == made.data.paths[n]
        assert cells.plain(row[3]) == CLASSES[made.data.labels[n]]
    other = opened(made)
    assert load(other, text) == "60 decisions loaded from d.csv"
    assert decided(other) == before
    assert saved(other) == text
    press(other, "z")
    assert decided(other) == []
    excels = "\ufeff" + text.replace('"a, b', '"a# b').replace(",", ";").replace("a# b", "a, b")
    assert load(other, excels.replace("\n", "\r\n")) == "60 decisions loaded from d.csv"
    assert decided(other) == before


def test_files_that_do_not_fit_change_nothing(made, opened):
    page = opened(made)
    press(page, "k")
    before = decided(page)
    n = sample(made, 0)
    good = ["made by hand", str(n), made.data.paths[n], CLASSES[made.data.labels[n]], "drop", ""]

    def refused(*rows, head=COLUMNS):
        buffer = io.StringIO()
        csv.writer(buffer).writerows([head, *([cells.defused(cell) for cell in row] for row in rows)])
        message = load(page, buffer.getvalue())
        assert message.startswith("d.csv is not loaded: ")
        assert decided(page) == before
        return message.removeprefix("d.csv is not loaded: ")

    def but(**changes):
        return [changes.get(name, cell) for name, cell in zip(COLUMNS, good, strict=True)]

    assert refused(but(run="another")) == "row 2 is of another run"
    assert refused(good, but(index="77")).startswith("row 3: this run shows no sample 77")
    assert refused(but(path="<b>x</b>")).endswith(f"{n}, <b>x</b>, labelled {good[3]}")
    assert refused(but(given="plain!")).startswith("row 2: this run shows no sample")
    assert refused(but(decision="class", label="bird")) == "row 2: bird is no class of this run"
    assert refused(but(decision="class", label=good[3])).endswith("is no decision")
    assert refused(but(decision="constructor")).startswith("row 2: constructor with the label (none)")
    assert refused(good, good) == f"row 3: a second decision on sample {n}"
    assert refused(good, head=["path", "label"]).startswith("the columns must be run, index")
    assert load(page, ",".join(COLUMNS) + '\n"a').startswith("d.csv is not loaded: row 2 cannot be read")
    assert page.evaluate("typeof pwned") == "undefined"


def test_label_studio(made, opened):
    page = opened(made)
    all_kinds(page, made)
    tasks = json.loads(saved(page, "#studio"))
    assert len(tasks) == 60
    for task in tasks:
        n = task["data"]["index"]
        assert task["data"]["path"] == made.data.paths[n]
        results = {one["from_name"]: one["value"]["choices"] for one in task["annotations"][0]["result"]}
        (suggestion,) = task["predictions"][0]["result"]
        assert suggestion["value"]["choices"] == [CLASSES[made.suggested[n]]]
        assert ("label" in results) == (results["decision"] in (["keep"], ["suggestion"], ["class"]))
        assert {one["to_name"] for one in task["annotations"][0]["result"]} == {"image"}
    assert tasks[2]["data"]["image"] == ("/data/local-files/?d=%E7%8C%AB/%F0%9F%90%88%20%2541%23%3F.png")


def test_names_are_text_and_nothing_else(made, opened):
    page = opened(made)
    page.click("#lists button >> nth=1")
    page.keyboard.press("c")
    assert page.evaluate("typeof pwned") == "undefined"
    assert page.locator("main img[src=x], main script, dialog script").count() == 0
    assert set(page.locator("#given option").all_inner_texts()[1:]) == set(CLASSES)
    shown = page.locator("figure .path").all_inner_texts()
    assert any(NAMES[1] in text for text in shown) or page.inner_text("#where").startswith("page 1 of 2")


def test_the_policy_forbids_requests_and_other_scripts(made, opened):
    page = opened(made)
    blocked = page.evaluate("""async () => {
        const seen = []
        document.addEventListener("securitypolicyviolation", event => seen.push(event.effectiveDirective))
        await fetch("https://example.org/").catch(() => {})
        new Image().src = "https://example.org/x.png"
        document.body.append(Object.assign(document.createElement("script"), {textContent: "pwned = 1"}))
        const button = document.createElement("button")
        button.setAttribute("onclick", "pwned = 1")
        button.click()
        await new Promise(done => setTimeout(done, 100))
        return seen.sort()
    }""")
    opened.faults.remove("https://example.org/x.png")  # it was asked for, and blocked
    assert blocked == ["connect-src", "img-src", "script-src-attr", "script-src-elem"]
    assert page.evaluate("typeof pwned") == "undefined"


def test_thumbnails_and_pictures_load(made, opened):
    page = opened(made)
    assert page.evaluate("""async () => {
        const url = document.querySelector("figure img").style.backgroundImage.slice(5, -2)
        const image = Object.assign(new Image(), {src: url})
        await image.decode()
        return [image.naturalWidth, image.naturalHeight]
    }""") == [768, 576]
    with page.context.expect_page() as caught:
        page.click("figure a >> nth=0")
    assert caught.value.url == (made.data.source / made.data.paths[sample(made, 0)]).as_uri()


def test_what_the_browser_keeps_is_not_trusted(made, opened):
    page = opened(made)
    n = sample(made, 3)
    given = CLASSES[made.data.labels[n]]
    for kept in (
        "null",
        "[",
        "7",
        '{"0": 1, "__proto__": ["drop", ""], "99": ["drop", ""], "1": ["keep", "no such class"]}',
        json.dumps({str(n): ["class", given], "2": ["<b>", ""], "4": ["drop", given]}),
    ):
        page.evaluate(
            "([key, value]) => localStorage.setItem(key, value)", [f"robust_lib find {made.key}", kept]
        )
        page.reload()
        assert decided(page) == []


def test_a_browser_that_keeps_nothing_says_so(made, opened, browser):
    context = browser.new_context()
    context.add_init_script("Storage.prototype.setItem = () => { throw Error('full') }")
    page = opened(made, context)
    press(page, "d")
    assert page.inner_text("#message").startswith("this browser keeps nothing: save decisions.csv")
    assert decided(page) == [[0, ["drop", -1]]]
    context.close()


def test_two_tabs_share_their_decisions(made, opened):
    one = opened(made)
    other = opened(made, one.context)
    press(one, "d")
    until(other, "decisions.size === 1")
    press(other, "n", "u")
    until(one, "decisions.size === 2")
    assert decided(one) == decided(other) == [[0, ["drop", -1]], [48, ["unsure", -1]]]


def test_twenty_thousand_samples_are_shown_a_page_at_a_time(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "_matrix_figure", lambda *_: {"png": b"", "svg": b""})
    found = findings(tmp_path, 20_000, tuple(f"class {k}" for k in range(300)), pictures=False)
    pages.write(found)
    page = opened(found)
    assert page.inner_text("#where") == "page 1 of 417, 20,000 samples"
    assert page.locator("#cards figure").count() == 48
    press(page, *"kdu" * 20)
    assert decided(page)[-1] == [59, ["unsure", -1]]
    assert page.locator("#cards figure").count() == 48
    page.evaluate("go(19999)")
    assert page.inner_text("#where") == "page 417 of 417, 20,000 samples"
    page.evaluate("change(data.paths.map((_, n) => [n, ['drop', -1]]), '')")
    page.reload()
    assert page.evaluate("decisions.size") == 20_000
    press(page, "c")
    assert page.locator("#options li").count() == 50
    assert page.inner_text("#more") == "and 250 more: type on"
    page.keyboard.type("299")
    press(page, "Enter")
    page.select_option("#decision", "class")
    assert page.inner_text("#where") == "page 1 of 1, 1 sample"


def test_texts_and_the_curve_of_expected_errors(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "_matrix_figure", lambda *_: {"png": b"", "svg": b""})
    texts = [f"=text {n}\n<b>two</b> lines" for n in range(60)]
    texts[5] = "long " * 1000
    found = findings(tmp_path, 60, CLASSES, pictures=False, texts=texts)
    pages.write(found)
    page = opened(found)
    assert page.locator("figure .text").first.text_content() == texts[sample(found, 0)]
    assert page.locator("figure .text b, figure img").count() == 0
    page.fill("#search", "text 33")
    assert page.inner_text("#where") == "page 1 of 1, 1 sample"
    page.fill("#search", "long")
    assert len(page.locator("figure .text").first.text_content()) == pages.MOST_TEXT
    press(page, "Enter")
    page.click("#cards [data-decision=keep]")
    (task,) = json.loads(saved(page, "#studio"))
    assert task["data"]["text"].startswith("long long")
    assert task["annotations"][0]["result"][0]["to_name"] == "text"
    expected = found.wrong.probability.sum()
    said = page.get_attribute("#curve svg", "aria-label")
    assert said.startswith(f"Expected wrong labels by samples looked at, to {expected:.3g} (")
    assert page.locator("#curve path.range").get_attribute("d").count("L") == 2 * len(found.expected)


AXE = "axe_playwright_python.sync_playwright"


@pytest.mark.parametrize("state", ["page", "keys", "dialog", "decided"])
def test_no_serious_fault_of_accessibility(made, opened, state):
    axe = pytest.importorskip(AXE, reason="axe-playwright-python is not installed here")
    page = opened(made)
    if state != "page":
        press(page, {"keys": "?", "dialog": "c", "decided": "d"}[state])
    faults = [
        (one["id"], one["impact"], one["nodes"][0]["html"])
        for one in axe.Axe().run(page).response["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert faults == []


def test_from_a_folder_to_a_cleaner_one(opened, tmp_path, monkeypatch):
    """find, the page, mend, and find again: all parts with each other's real files."""
    from PIL import Image

    monkeypatch.setattr(pages, "_matrix_figure", lambda *_: {"png": b"", "svg": b""})
    monkeypatch.setattr(search.Job, "seconds_per_sample", lambda _: 0.0)
    draw = np.random.default_rng(0)
    for name in ("=cat", "犬"):
        for n in range(8):
            file = tmp_path / "pets" / name / f"{n};+1.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw.integers(0, 255, (8, 8), dtype=np.uint8)).save(file)
    options = {"device": "cpu", "epochs": 1, "detector": "cl", "progress": False, "backbone": "none"}
    found = search.find(tmp_path / "pets", tmp_path / "out", **options)
    page = opened(found)
    press(page, "k", "d", "c", "ArrowDown", "Enter", "u")
    (tmp_path / "decisions.csv").write_text(saved(page), encoding="utf-8")
    first, second, third = (found.data.paths[sample(found, rank)] for rank in range(3))
    was = found.data.classes[found.data.labels[sample(found, 2)]]
    told = mend(tmp_path / "out", tmp_path / "decisions.csv", folder="links")
    assert told.dropped == 1
    assert not (told.out / second).exists()
    assert (told.out / first).exists()
    assert told.changed == (was == "=cat")
    again = search.find(told.out, tmp_path / "again", **options)
    page = opened(again)
    assert page.evaluate("data.paths.length") == 13
    assert first not in page.evaluate("data.paths")
    assert third not in page.evaluate("data.paths")
