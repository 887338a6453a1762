"""The web page in a real browser: `make test-browser`."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rest_serving import Client, model, served

pytestmark = pytest.mark.browser
pytest.importorskip("selenium", reason="selenium is not installed: see `make test-browser`")

import chromium  # noqa: E402
from selenium.webdriver import ActionChains, Chrome, Keys  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

if chromium.missing():
    pytest.skip(f"not installed: {chromium.missing()}; see `make test-browser`", allow_module_level=True)

Use = Callable[[Chrome, Client], None]


@pytest.fixture(scope="module")
def wide() -> Iterator[Chrome]:
    with chromium.browser(1100, 800) as driver:
        yield driver


def on_page(driver: Chrome, use: Use, *, several: bool = False) -> None:
    """Serve one model (or, if `several`, two and a damaged one), open the page and call `use`."""

    def open_page(client: Client) -> None:
        driver.get(f"http://127.0.0.1:{client.port}/")
        WebDriverWait(driver, 10).until(lambda _: driver.find_elements(By.CSS_SELECTOR, "#model option"))
        driver.get_log("browser")
        use(driver, client)

    first = model(n_best=3)
    if not several:
        served([first], open_page)
    else:
        Path("gone.pt").write_text("no model", encoding="utf-8")
        served(
            [first, model("other.pt", n_best=2), model("gone.pt")],
            open_page,
            unload_time=60,
            with_tokens=False,
        )


def find(driver: Chrome, selector: str) -> list:
    return driver.find_elements(By.CSS_SELECTOR, selector)


def translate(driver: Chrome, text: str) -> None:
    """Type a text, translate it by keyboard, and wait for the outcome."""
    [field] = find(driver, "#src")
    field.clear()
    field.send_keys(text)
    field.send_keys(Keys.CONTROL, Keys.ENTER)
    wait(driver, lambda: find(driver, "#go")[0].get_attribute("aria-disabled") != "true")


def wait(driver: Chrome, condition: Callable[[], object]) -> None:
    WebDriverWait(driver, 10).until(lambda _: condition())


def shades(driver: Chrome, selector: str) -> list[float]:
    script = (
        "return [...document.querySelectorAll(arguments[0])].map((one) => one.style.getPropertyValue('--w'))"
    )
    return [float(weight or 0) for weight in driver.execute_script(script, selector)]


def test_translations_and_attention(folder: Path, wide: Chrome) -> None:
    def use(driver: Chrome, client: Client) -> None:
        translate(driver, "a b c\n\nc b")
        assert len(find(driver, ".line")) == 2
        [answer, _] = client.translate([{"src": "a b c", "withAttn": True}, {"src": "c b"}])
        items = find(driver, ".line:first-child .ranks > li")
        assert [item.find_element(By.CLASS_NAME, "rank").text for item in items] == ["1", "2", "3"]
        shown = [item.find_element(By.CLASS_NAME, "score").text.replace("−", "-") for item in items]
        assert shown == [f"{one['pred_score']:.4f}" for one in answer]
        words = [item.find_element(By.CLASS_NAME, "words").text.split() for item in items]
        assert words == [one["tgt_tokens"] for one in answer]
        place = next(place for place, one in enumerate(answer) if one["tgt_tokens"])
        token = items[place].find_element(By.CLASS_NAME, "token")
        source = ".line:first-child > .tokens .token"
        assert shades(driver, source) == [0, 0, 0]
        ActionChains(driver).move_to_element(token).perform()
        expected = pytest.approx(answer[place]["attn"][0], abs=1e-3)
        assert shades(driver, source) == expected
        find(driver, "summary")[0].click()
        cells = shades(driver, ".line:first-child table.heat td")
        assert cells == pytest.approx([weight for row in answer[0]["attn"] for weight in row], abs=1e-3)
        assert driver.get_log("browser") == []

    on_page(wide, use)


def test_keyboard_only(folder: Path, wide: Chrome) -> None:
    def use(driver: Chrome, client: Client) -> None:
        driver.switch_to.active_element.send_keys("a b c")  # the field has the focus from the start
        driver.switch_to.active_element.send_keys(Keys.TAB)
        driver.switch_to.active_element.send_keys(Keys.ENTER)
        wait(driver, lambda: find(driver, ".line"))
        [answer] = client.translate([{"src": "a b c", "withAttn": True}])
        best = next(one for one in answer if len(one["tgt_tokens"]) > 1)
        driver.switch_to.active_element.send_keys(Keys.TAB)
        for one in answer:  # each translation takes one press of Tab
            if one is best:
                break
            if one["tgt_tokens"]:
                driver.switch_to.active_element.send_keys(Keys.TAB)
        driver.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
        source = ".line > .tokens .token"
        assert shades(driver, source) == pytest.approx(best["attn"][1], abs=1e-3)

    on_page(wide, use)


def test_models_and_errors(folder: Path, wide: Chrome) -> None:
    def use(driver: Chrome, client: Client) -> None:
        options = find(driver, "#model option")
        assert [option.text for option in options] == ["1: model.pt", "2: other.pt", "3: gone.pt"]
        options[1].click()
        translate(driver, "a b c")
        assert len(find(driver, ".ranks > li")) == 2
        options[2].click()
        translate(driver, "a b c")
        assert "model 3 cannot be loaded" in find(driver, "#error")[0].text
        assert find(driver, ".line") == []
        translate(driver, " ")
        assert "nothing to translate" in find(driver, "#error")[0].text
        options[0].click()
        translate(driver, "a￨L")
        assert "item 1: 1 features per word" in find(driver, "#error")[0].text
        translate(driver, "<i>a</i> b")  # shown as text, not rendered as HTML
        assert find(driver, "#error")[0].text == ""
        assert find(driver, "i") == []

    on_page(wide, use, several=True)


def test_the_curl_line_does_what_the_page_did(folder: Path, wide: Chrome) -> None:
    def use(driver: Chrome, client: Client) -> None:
        translate(driver, 'it\'s a $HOME\n"b" \\ c')
        find(driver, "#request summary")[0].click()
        done = subprocess.run(
            ["sh", "-c", find(driver, "#curl")[0].text + " -s"], capture_output=True, text=True, check=True
        )
        answers = json.loads(done.stdout)
        assert [answer[0]["src"] for answer in answers] == ["it's a $HOME", '"b" \\ c']

    on_page(wide, use)


def test_a_server_that_has_gone(folder: Path, wide: Chrome) -> None:
    def use(driver: Chrome, client: Client) -> None:
        pass

    on_page(wide, use)
    translate(wide, "a b")
    assert "cannot be reached" in find(wide, "#error")[0].text


@pytest.mark.parametrize("dark", [False, True])
def test_a_narrow_screen(folder: Path, dark: bool) -> None:
    def use(driver: Chrome, client: Client) -> None:
        translate(driver, "a b c " * 30 + "\n" + "a" * 200)
        for summary in find(driver, "summary"):
            summary.click()
        assert driver.execute_script("return document.documentElement.scrollWidth") == 360
        colours = {driver.execute_script("return getComputedStyle(document.body).backgroundColor")}
        assert colours == ({"rgb(20, 24, 29)"} if dark else {"rgb(255, 255, 255)"})

    with chromium.browser(360, 740, dark=dark) as driver:
        on_page(driver, use)


def test_the_page_of_visualize_fits(folder: Path, wide: Chrome) -> None:
    root = Path(__file__).resolve().parents[2]
    Path("src").write_text("a b c\nc\n", encoding="utf-8")
    files = ["-save_attention", "attn", "-save_beam_to", "beam"]
    for argv in (
        [
            "translate.py",
            "-model",
            "model.pt",
            "-src",
            "src",
            "-n_best",
            "2",
            "-max_sent_length",
            "6",
            *files,
        ],
        ["tools/visualize.py", "-attention", "attn", "-beam", "beam", "-output", "page.html"],
    ):
        subprocess.run([sys.executable, root / argv[0], *argv[1:]], check=True, capture_output=True)
    wide.get((folder / "page.html").as_uri())
    assert [title.text for title in find(wide, "h2")] == ["Sentence 1", "Sentence 2", "Search 1", "Search 2"]
    assert wide.execute_script("return document.documentElement.scrollWidth") == 1100
