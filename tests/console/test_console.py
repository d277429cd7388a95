"""The console in a real browser: every part, by mouse and keyboard, and nothing from elsewhere."""

import json
import os
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from confluent_kafka import Producer
from PIL import Image
from stage import HELD_OUT, ROOT, Traffic, answers, brokers

PICTURES = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "console"
# Where the README's picture is; it is made anew only on demand, so that a test run changes no file.
README_PICTURE = ROOT / "docs/console.png"
FIRST_PAINT_MS = 1000


@pytest.fixture
def page(stage, browser):
    """The console of the open ingest; in the end nothing may have gone wrong in it."""
    browser.look("light", 1280, 900)
    browser.go(f"{stage.url}/console")
    browser.says("Live")
    yield browser
    assert browser.problems == []
    foreign = [url for url in browser.asked if not url.startswith((stage.url, "data:", "blob:"))]
    assert foreign == []


def show(page, part: str) -> None:
    page.click(f"nav a[href='#{part}']")
    page.wait(f"document.querySelector('nav a[aria-current]').hash === '#{part}'")


def test_the_line_is_drawn_with_live_rates(stage, page):
    with Traffic(stage):
        page.wait("[...document.querySelectorAll('.topic strong')].every((it) => parseFloat(it.textContent) > 5)")
        page.wait("!!document.querySelector('.stream.flows')")
        page.says("archive")
        page.wait("/[0-9.]+ ms from head to answer/.test(document.body.innerText)")
        page.wait("document.querySelectorAll('.spark polyline').length >= 4")
        assert page.run("[...document.querySelectorAll('.flow h3')].map((it) => it.textContent)") == [
            "Ingest", "requests", "Infer", "results", "Sink",
        ]
        page.wait("document.querySelector('.topic polyline').getAttribute('points').split(' ').length > 12", 60)
        page.screenshot(PICTURES / "line-light.png")
        page.look("dark", 1280, 900)
        page.screenshot(PICTURES / "line-dark.png")
        if os.environ.get("README_PICTURE"):
            page.look("light", 1280, 470)
            page.screenshot(README_PICTURE)
        page.look("light", 390, 844)
        assert page.run("document.documentElement.scrollWidth") <= 390
        page.screenshot(PICTURES / "line-narrow.png")


def test_the_page_is_small_and_there_at_once(stage, page):
    painted = page.wait("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    assert painted < FIRST_PAINT_MS
    files = [url for url in page.asked if "/console" in url and "/api/" not in url]
    bytes_of = [len(urllib.request.urlopen(url, timeout=60).read()) for url in set(files)]
    assert sum(bytes_of) < 150_000
    with urllib.request.urlopen(f"{stage.url}/console", timeout=60) as answer:
        policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_models_are_shown_with_versions_labels_and_signatures(page):
    show(page, "models")
    for text in ["Version 1", "Version 2", "stable", "next", "available", "[any, 8, 8]", "FP32"]:
        page.says(text)
    # A version that is closed is opened with the keyboard.
    page.run("document.querySelectorAll('details:not([open]) summary')[0].focus()")
    page.key("Enter", 13, "\r")
    page.wait("document.querySelectorAll('details[open]').length === 2")
    page.wait("/SHA-256 [0-9a-f]{64}/.test(document.body.innerText)")
    page.look("dark", 1280, 900)
    page.screenshot(PICTURES / "models-dark.png")


def test_a_digit_is_drawn_and_recognised(page, tmp_path):
    show(page, "try")
    page.wait("!!document.querySelector('canvas')")
    left, top, width, height = page.run("(() => { const it = document.querySelector('canvas').getBoundingClientRect(); return [it.x, it.y, it.width, it.height]; })()")
    at = lambda x, y: (left + width * x, top + height * y)  # noqa: E731
    page.drag([at(0.5, 0.1 + step / 25) for step in range(21)])
    page.says("Answered in")
    label = page.run("document.querySelector('.output .big').textContent")
    assert label == "1"
    page.screenshot(PICTURES / "try-light.png")
    # A file with a digit that the model knows.
    index = next(it for it, label in enumerate(HELD_OUT["labels"]) if label == 4)
    pixels = [min(255, round(value * 255 / 16)) for row in HELD_OUT["images"][index] for value in row]
    picture = Image.new("L", (8, 8))
    picture.putdata(pixels)
    picture.save(tmp_path / "four.png")
    page.choose_file("#try-file", tmp_path / "four.png")
    page.wait("document.querySelector('.output .big')?.textContent === '4'")
    # JSON, and what does not fit is told in the words of ingest.
    body = json.dumps({"instances": [HELD_OUT["images"][0]]})
    page.run(f"document.querySelector('.asked details').open = true; document.querySelector('#try-body').value = {json.dumps(body)}")
    page.click("#try-send")
    page.wait(f"document.querySelector('.output .big')?.textContent === '{HELD_OUT['labels'][0]}'")
    page.look("light", 390, 844)
    assert page.run("document.documentElement.scrollWidth") <= 390
    page.screenshot(PICTURES / "try-narrow.png")
    page.run("document.querySelector('#try-body').value = '{}'")
    page.click("#try-send")
    page.wait("!!document.querySelector('.answer .bad')")
    assert "400" in page.problems.pop()


def test_the_pad_is_drawn_on_with_the_keyboard(page):
    show(page, "try")
    page.wait("!!document.querySelector('canvas')")
    page.run("document.querySelector('canvas').focus()")
    for _ in range(3):
        page.key("ArrowUp", 38)
    for _ in range(6):
        page.key(" ", 32, " ")
        page.key("ArrowDown", 40)
    page.says("Answered in")
    painted = page.run("JSON.parse(document.querySelector('#try-body').value).instances[0].flat().filter((it) => it === 16).length")
    assert painted == 6


def test_dead_letters_are_shown_and_written_back(stage, page):
    producer = Producer({"bootstrap.servers": brokers()})
    producer.produce(f"{stage.prefix}.requests.digits", b"no Arrow at all", key=b"odd", headers={"mr-id": "odd-one"})
    producer.flush(60)
    show(page, "letters")
    page.says("INVALID_ARGUMENT")
    page.click(".letters-table .link")
    page.says("odd-one")
    page.click(".letters-table tbody input[type=checkbox]")
    page.wait("document.querySelector('#requeue').textContent === 'Write 1 back'")
    page.look("dark", 1280, 900)
    page.screenshot(PICTURES / "letters-dark.png")
    page.click("#requeue")
    page.wait("document.querySelector('#sure-dialog').open")
    page.click("#sure-yes")
    page.says("written back")
    # It fails again: a second letter, which says that it is the second attempt.
    page.wait("document.querySelectorAll('.letters-table tbody').length === 2")
    page.wait("document.querySelectorAll('.letters-table tr.done').length === 1")
    listed = json.loads(stage.tool("dead-letters", "list", "--all", "--json"))
    assert sorted(it["requeued"] for it in listed) == [False, True]
    # Nobody writes it back twice.
    again = next(it["letter"] for it in listed if it["requeued"])
    assert refusal(f"{stage.url}/console/api/dead-letters/requeue", {"letters": [again]}) == 409


def test_replays_are_shown_from_the_line_and_from_a_file(stage, page, tmp_path):
    for index in range(60):
        stage.predict(index)
    report = tmp_path / "report.json"
    stage.tool("replay", "--model", "digits@2", "--to", "results.shadow", "--out", str(report))
    show(page, "replays")
    page.says("Agreement")
    page.says("digits version 2")
    page.says("LARGEST DIFFERENCES")
    page.screenshot(PICTURES / "replays-light.png")
    made = json.loads(report.read_text())
    made["model"] = "from-a-file"
    report.write_text(json.dumps(made))
    page.choose_file("#report-file", report)
    page.says("from-a-file version 2")


def test_all_parts_are_reached_with_the_keyboard(page):
    seen = []
    for _ in range(9):
        page.key("Tab", 9)
        seen.append(page.run("document.activeElement.textContent.trim()"))
    for part in ["Line", "Models", "Try", "Replays", "Key"]:
        assert part in seen, seen
    assert any(it.startswith("Dead letters") for it in seen), seen


def test_the_page_asks_for_a_key_and_nothing_is_told_without(stage, browser):
    guarded = stage.guarded
    for path in ["line", "dead-letters", "replays"]:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{guarded}/console/api/{path}", timeout=60)
        assert refused.value.code == 401
    browser.look("light", 1280, 900)
    browser.go(f"{guarded}/console")
    browser.wait("document.querySelector('#key-dialog').open")
    browser.screenshot(PICTURES / "key-light.png")
    browser.tell("Input.insertText", text="wrong")
    browser.click("#key-form button[value=use]")
    browser.says("credentials are not valid")
    browser.tell("Input.insertText", text=stage.key)
    browser.click("#key-form button[value=use]")
    browser.says("Live")
    browser.says("digits")
    assert browser.run("Object.keys(localStorage).length") == 0
    assert browser.run("document.cookie") == ""
    # This caller may look and ask, not change.
    show(browser, "letters")
    browser.says("control.enabled")
    letters = {"letters": ["0@0"]}
    assert refusal(f"{guarded}/console/api/dead-letters/requeue", letters, stage.key) == 403
    # Forgotten, it is asked for again.
    browser.click("#key")
    browser.click("#key-form button[value=forget]")
    browser.wait("document.querySelector('#key-dialog').open && !sessionStorage.length")


def test_the_files_of_the_page_are_closed_unless_settings_open_them(stage):
    assert answers(f"{stage.guarded}/console")
    assert not answers(f"{stage.guarded}/console/../console.css")
    assert not answers(f"{stage.guarded}/console/nothing.js")


def refusal(url: str, body: dict, key: str = "") -> int:
    """The status with which a request is refused."""
    headers = {"Content-Type": "application/json"} | ({"X-API-Key": key} if key else {})
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=60)
    return refused.value.code
