"""
The page in a real Chromium, without a window.

Skipped where Chromium or its driver is missing, unless `MODELING_GLM_REQUIRE_BROWSER=1`, as `.ci/run` sets it.
"""

import json
import os
import re
import shutil

import pytest

from tests.support.paths import ROOT
from tests.support.scripts import run_script
from tests.support.visitors import served_page

FOR_BLANKS = "#fill-message .problem"
TWO_BLANKS = "The number 4836 is written four thousand [MASK] hundred and [MASK]."


def find_chromium() -> tuple[str, str]:
    """The browser and its driver; without them a skip, or a failure where they are required."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if browser and driver:
        return browser, driver
    missing = "no Chromium or no chromedriver on the PATH (on Debian: apt-get install chromium chromium-driver)"
    if os.environ.get("MODELING_GLM_REQUIRE_BROWSER") == "1":
        pytest.fail(missing)
    pytest.skip(missing)


@pytest.fixture(scope="module")
def address():
    """The page as `python examples/app.py` serves it."""
    pytest.importorskip("gradio")
    find_chromium()
    with served_page() as (address, *_):
        yield address


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    browser, driver = find_chromium()
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    profile = tmp_path_factory.mktemp("chromium")
    # Containers run as root and have a small /dev/shm.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    window = webdriver.Chrome(options, Service(driver))
    yield window
    window.quit()


@pytest.fixture
def page(chromium, address):
    """The page, newly loaded; at the end it must not have complained in the console."""
    chromium.set_window_size(1000, 1000)
    chromium.get(address)
    reader = Reader(chromium)
    yield reader
    reader.gone(".busy")  # the browser complains of a page that is left while the server answers
    assert [entry for entry in chromium.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


@pytest.fixture
def phone(page):
    """The page on a narrow screen."""
    screen = {"width": 390, "height": 900, "deviceScaleFactor": 1, "mobile": True}
    page.window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    yield page
    page.window.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


class Reader:
    """Use the page as a reader does, and wait until it answers."""

    def __init__(self, window):
        self.window = window

    def all(self, selector: str) -> list:
        return self.window.find_elements("css selector", selector)

    def see(self, selector: str, text: str = ""):
        """The first visible element that a selector finds and that has a text."""
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        def look(_):
            return next((e for e in self.all(selector) if e.is_displayed() and text in e.text), None)

        wait = WebDriverWait(self.window, 60, 0.05, [StaleElementReferenceException])
        return wait.until(look, f"nothing visible at {selector!r} with {text!r}")

    def wait(self, reached, told: str = ""):
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.window, 60, 0.05).until(lambda _: reached(), told)

    def gone(self, selector: str):
        self.wait(lambda: not self.all(selector), f"{selector!r} stays")

    def write(self, selector: str, text: str):
        from selenium.webdriver.common.keys import Keys

        box = self.see(selector)
        box.send_keys(Keys.CONTROL, "a")
        box.send_keys(text)

    def open(self, tab: str):
        self.see("button[role=tab]", tab).click()


def test_a_text_is_typed_and_filled(page):
    page.write("#text textarea", "The number 7352 is written seven thousand [MASK] hundred and fifty-two.")
    page.see("#fill").click()
    first = page.see("#result .filling.chosen")
    assert "seven thousand three" in first.text
    assert re.match(r"\d\d(\.\d)?%", first.text)
    assert first.find_element("css selector", "mark").text == "three"
    assert len(page.all("#result .filling")) == 3
    assert not page.all(FOR_BLANKS)


def test_an_alternative_is_clicked_and_released(page):
    page.write("#text textarea", TWO_BLANKS)
    page.see("#fill").click()
    alternative = page.see('#result [data-blank="1"][data-alternative="0"]')
    text = alternative.text.rsplit(maxsplit=1)[0]
    before = page.see("#result .filling.chosen").text
    alternative.click()
    assert page.see("#result .filling.chosen mark.given").text == text
    page.see("#reset").click()
    page.gone("#result mark.given")
    assert page.see("#result .filling.chosen").text == before


def test_another_filling_is_clicked(page):
    page.see("#fill").click()
    page.see("#result .filling.chosen")
    second = page.see('#result [data-filling="1"]')
    second.find_element("css selector", "button").click()
    second = page.see('#result .filling.chosen[data-filling="1"]')
    answer = second.find_element("css selector", "mark").text
    assert page.see("#result .blank mark", answer)


@pytest.mark.parametrize("text", ["There is no blank here.", "<script>document.title = 'x'</script>"])
def test_a_text_without_blanks_is_told_what_is_missing(page, text):
    page.write("#text textarea", text)
    page.see("#fill").click()
    assert "The text has no blank: write [MASK], [sMASK], [gMASK] or ___" in page.see(FOR_BLANKS).text
    page.gone("#result .filling")
    page.write("#text textarea", "Now there is [MASK].")
    page.see("#fill").click()
    page.see("#result .filling")
    assert not page.all(FOR_BLANKS)
    assert page.window.title == "GLM fills blanks"


def test_choices_are_compared(page):
    page.open("Choose")
    page.write("#choose-text textarea", "1988 is a [MASK] year with 366 days.")
    page.write("#choices textarea", "leap\ncommon")
    page.see("#choose").click()
    shown = page.see("#chart", "leap").text
    shares = dict(re.findall(r"(leap|common)\s+<?([\d.]+)%", shown))
    assert set(shares) == {"leap", "common"}
    assert float(shares["leap"]) > float(shares["common"])
    page.write("#choices textarea", "leap")
    page.see("#choose").click()
    assert "Write two or more" in page.see("#choose-message .problem").text


def test_the_picture_follows_the_filling(page):
    page.open("What the model sees")
    assert "Fill a text first" in page.see("#picture-message .problem").text
    page.open("Fill")
    page.see("#fill").click()
    page.see("#result .filling")
    page.open("What the model sees")
    assert "[MASK]" in page.see("#picture table").text


def test_an_example_is_loaded_and_filled(page):
    page.see("#fill-examples button", "The time 19:20").click()
    page.see("#result .filling.chosen", "has the hour 19")
    assert [mark.text for mark in page.all("#result .filling.chosen mark")] == ["19", "20"]


def test_narrow_screens_need_no_scrolling_sideways(phone):
    phone.see("#fill").click()
    phone.see("#result .filling")
    phone.open("Choose")
    phone.see("#choose").click()
    phone.see("#chart", "dog")
    for tab, seen in (
        ("Choose", "#choose-examples"),
        ("What the model sees", "#picture table"),
        ("Fill", "#result"),
    ):
        phone.open(tab)
        phone.see(seen)
        assert phone.window.execute_script("return document.documentElement.scrollWidth") <= 390, tab


CONTRAST = (ROOT / "tests" / "support" / "contrast.js").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_texts_have_enough_contrast(page, address, theme):
    checked = {}

    def check(state: str):
        found = page.window.execute_script(CONTRAST, 4.5)
        assert found["problems"] == [], state
        checked[state] = found["checked"]

    page.window.get(f"{address}/?__theme={theme}")
    page.see("#settings button").click()
    page.see("#pattern")
    check("settings")
    page.write("#text textarea", TWO_BLANKS)
    page.see("#fill").click()
    page.see('#result [data-blank="1"][data-alternative="0"]').click()
    page.see("#result mark.given")
    page.gone(".busy")
    check("one answer is set")
    page.write("#text textarea", "The number [MASK] is even. " * 20)
    check("the result is stale")
    page.see("#fill").click()
    page.see(".busy")
    check("busy")
    page.see("#stop").click()
    page.gone(".busy")
    page.write("#text textarea", "no blank")
    page.see("#fill").click()
    page.see(FOR_BLANKS)
    check("a problem")
    page.open("Choose")
    page.see("#choose").click()
    page.see("#chart", "dog")
    check("choices")
    page.open("Fill")
    page.see("#fill-examples button", "The time 19:20").click()
    page.see("#result .filling")
    page.open("What the model sees")
    page.see("#picture table")
    check("the picture")
    assert min(checked.values()) > 20


def test_a_text_in_a_dull_colour_is_found(page):
    page.see("#fill")
    page.window.execute_script("document.querySelector('h1').style.color = '#999'")
    (problem,) = page.window.execute_script(CONTRAST, 4.5)["problems"]
    assert problem.startswith("2.8")


@pytest.mark.slow
def test_buttons_boxes_and_pictures_have_names(page):
    page.see("#settings button").click()
    page.write("#text textarea", TWO_BLANKS)
    page.see("#fill").click()
    page.see('#result [data-blank="1"][data-alternative="0"]')
    named = {"button", "image", "img", "textbox", "slider", "radio", "spinbutton", "link", "tab", "region", "alert"}
    seen = set()
    page.window.execute_cdp_cmd("Accessibility.enable", {})
    for tab in ("Fill", "Choose", "What the model sees"):
        page.open(tab)
        page.see({"Fill": "#fill", "Choose": "#choose"}.get(tab, "#picture table"))
        for node in page.window.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]:
            role, name = node.get("role", {}).get("value"), node.get("name", {}).get("value", "")
            if not node["ignored"] and role in named:
                seen.add((role, name))
    page.window.execute_cdp_cmd("Accessibility.disable", {})
    assert [entry for entry in seen if not entry[1].strip()] == []
    assert ("button", "Insert [MASK] for a word or a few words") in seen
    assert [name for role, name in seen if role == "image" and name.startswith("Attention layout. Part A, [CLS]")]


def test_screen_readers_hear_the_result(page):
    heard = "return document.querySelector('#fill-status [role=status][aria-live=polite]').textContent.trim()"
    page.see("#fill")
    assert page.window.execute_script(heard) == ""
    page.see("#fill").click()
    page.see("#result .filling")
    page.gone(".busy")
    assert re.match(
        r"3 fillings found\. Number 1, \d+%: The opposite of \w+ is cold\.", page.window.execute_script(heard)
    )
    page.write("#text textarea", "no blank")
    page.see("#fill").click()
    page.see(FOR_BLANKS)
    assert page.window.execute_script(heard).startswith("The text has no blank")


def test_a_button_inserts_a_blank_at_the_cursor(page):
    from selenium.webdriver.common.keys import Keys

    written = "return document.querySelector('#text textarea').value"
    cursor = "return document.activeElement.selectionStart"
    page.write("#text textarea", "The number 57 is written .")
    box = page.see("#text textarea")
    box.send_keys(Keys.ARROW_LEFT)
    page.see("#insert button", "Insert [MASK]").click()
    page.wait(lambda: page.window.execute_script(written) == "The number 57 is written [MASK].")
    page.wait(lambda: page.window.execute_script(cursor) == len("The number 57 is written [MASK]"))
    box.send_keys("!")
    page.see("#fill").click()
    assert page.see("#result .filling.chosen mark").text.startswith("fifty-seven")
    assert "!." in page.see("#result .filling.chosen").text


def test_control_and_enter_ask(page):
    from selenium.webdriver.common.keys import Keys

    page.write("#text textarea", "The number 57 is written ___.")
    page.see("#text textarea").send_keys(Keys.CONTROL + Keys.ENTER)
    assert page.see("#result .filling.chosen mark").text == "fifty-seven"
    page.open("Choose")
    page.see("#choices textarea").send_keys(Keys.CONTROL + Keys.ENTER)
    page.see("#chart", "dog")


@pytest.mark.slow
def test_a_result_is_stale_when_its_question_changes(page):
    page.write("#text textarea", TWO_BLANKS)
    page.see("#fill").click()
    page.see('#result [data-blank="1"][data-alternative="0"]')
    page.gone(".busy")
    assert not page.all(".answers.stale")
    page.see("#text textarea").send_keys(" ")
    assert "You have changed the question" in page.see("#result .answers.stale:disabled").text
    before = page.see("#result .filling.chosen").text
    page.window.execute_script("document.querySelectorAll('#result .filling')[1].click()")
    assert page.see("#result .filling.chosen").text == before
    page.see("#fill").click()
    page.gone(".answers.stale")
    page.see("#settings button").click()
    page.see("#settings input[type=radio][value=Drawn]").click()
    page.see("#result .answers.stale")
    page.open("Choose")
    page.see("#choose").click()
    page.see("#chart", "dog")
    page.see("#choices textarea").send_keys("x")
    page.see("#chart .answers.stale")


@pytest.mark.slow
def test_a_question_is_stopped(page):
    page.write("#text textarea", "The number [MASK] is even. " * 40)
    page.see("#fill").click()
    assert "of 40" in page.see(".busy", "Filling blank").text
    page.see("#stop").click()
    page.see("#fill-progress", "Stopped.")
    page.gone(".busy")
    assert not page.see("#fill").get_attribute("disabled")
    page.write("#text textarea", "The number 12 is [MASK].")
    page.see("#fill").click()
    page.see("#result .filling.chosen", "twelve")


def test_a_question_that_is_too_large_is_refused_at_its_box(page):
    page.write("#text textarea", "___ " * 60)
    page.see("#fill").click()
    refusal = page.see("#text div.validation-error")
    assert "The text has 60 blanks, and this page fills 50 at most" in refusal.text
    assert refusal.get_attribute("role") == "alert"
    refused = [entry for entry in page.window.get_log("browser") if entry["level"] == "SEVERE"]
    assert ["422" in entry["message"] for entry in refused] == [True]


@pytest.mark.slow
def test_chips_stand_on_one_line_and_words_stay_whole(phone):
    phone.write("#text textarea", "The number 48[MASK]6 is written [MASK] and four hundred and thirty-[MASK].")
    phone.see("#fill").click()
    phone.see('#result [data-blank="2"][data-alternative="0"]')
    phone.gone(".busy")
    chips = phone.window.execute_script(
        """return [...document.querySelectorAll("#result .blank")].map((row) =>
            [...row.querySelectorAll(":scope > mark, :scope > button")].map((chip) => {
                const { top, bottom } = chip.getBoundingClientRect();
                return [Math.round(top), Math.round(bottom)];
            }))"""
    )
    assert len(chips) == 3
    for row in chips:
        first = row[0]
        assert [chip for chip in row if abs(chip[0] - first[0]) < 12 and chip != first] == []
    broken = phone.window.execute_script(
        """const broken = [];
        for (const part of document.querySelectorAll("#result .filling > span, #result .blank > *")) {
            const walker = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
            for (let node = walker.nextNode(); node; node = walker.nextNode()) {
                for (const word of node.data.matchAll(/[\\w]+/g)) {
                    const range = document.createRange();
                    range.setStart(node, word.index);
                    range.setEnd(node, word.index + word[0].length);
                    if (range.getClientRects().length > 1) broken.push(word[0]);
                }
            }
        }
        return broken"""
    )
    assert broken == []


def test_the_picture_is_legible_on_a_phone(phone):
    phone.see("#fill").click()
    phone.see("#result .filling")
    phone.open("What the model sees")
    phone.see("#picture table")
    size, before, after = phone.window.execute_script(
        """const [scroll, name] = ["#picture .scroll", "#picture tbody th"].map((s) => document.querySelector(s));
        const size = parseFloat(getComputedStyle(name).fontSize), before = name.getBoundingClientRect().left;
        scroll.scrollLeft = 200;
        return [size, before, name.getBoundingClientRect().left]"""
    )
    assert size >= 12
    assert 0 <= after <= before  # names of tokens stay in view


def test_no_other_machine_is_asked(page, address):
    page.see("#fill").click()
    page.see("#result .filling")
    events = [json.loads(entry["message"])["message"] for entry in page.window.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert any(url.startswith(address) for url in asked)
    assert [url for url in asked if not url.startswith((address, "data:", "blob:", "chrome"))] == []


def test_a_missing_model_is_an_error_in_one_line(tmp_path, monkeypatch):
    pytest.importorskip("gradio")
    monkeypatch.setattr("transformers.utils.logging.disable_progress_bar", lambda: None)  # which would last
    with pytest.raises(SystemExit, match=r"^error: [^\n]*missing[^\n]*$"):  # a text: printed, and exit code 1
        run_script("app.py", "--model", tmp_path / "missing")


def test_help_explains(capsys):
    pytest.importorskip("gradio")
    with pytest.raises(SystemExit) as stop:
        run_script("app.py", "--help")
    assert stop.value.code == 0
    assert "python examples/app.py --model path/or/hub-id" in capsys.readouterr().out
