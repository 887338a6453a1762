"""Takes the screenshots of docs/serving.md: `python docs/screenshots.py MODEL`, a model of `make demo`.

Needs Chromium, see `make test-browser`.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / "test" / "serving")]

import chromium  # noqa: E402
from selenium.webdriver import Chrome, Keys  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
TEXT = "a quarter past four in the afternoon on 3 march 2019\n8:05 am on the twenty-eighth of april 1961"
HOOKS = '''"""The model's words are characters, blanks are written `_`."""


def tokenize(options, line):
    return list(line.replace(" ", "_"))


def detokenize(options, words, features):
    return "".join(words).replace("_", " ")
'''


def main(model: str) -> None:
    """Serve the model and visit the page."""
    with tempfile.TemporaryDirectory() as folder:
        hooks, config = Path(folder, "characters.py"), Path(folder, "models.yml")
        hooks.write_text(HOOKS, encoding="utf-8")
        entries = [f"- model: {Path(model).resolve()}\n  n_best: {count}\n" for count in (4, 1)]
        config.write_text("".join(entries), encoding="utf-8")
        argv = ["-model_config", str(config), "-hook_file", str(hooks), "-port", "0"]
        command = [sys.executable, str(ROOT / "tools" / "rest_multi_models.py"), *argv]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                take_all(address_of(server))
            finally:
                server.terminate()


def address_of(server: "subprocess.Popen[str]") -> str:
    """The address, from the log."""
    assert server.stdout is not None
    for line in server.stdout:
        found = re.search(r"http://\S+", line)
        if found:
            return found[0]
    raise SystemExit("the server has not started")


def take_all(address: str) -> None:
    """The page wide, with the attention open; and narrow and dark."""
    with chromium.browser(1100, 620) as driver:
        translate(driver, address)
        driver.find_elements(By.CSS_SELECTOR, ".line:first-child li:first-child .token")[5].click()
        driver.save_screenshot(str(PICTURES / "page.png"))
    with chromium.browser(1400, 900) as driver:
        translate(driver, address)
        line = driver.find_elements(By.CSS_SELECTOR, ".line")[1]
        line.find_element(By.TAG_NAME, "summary").click()
        line.screenshot(str(PICTURES / "attention.png"))
    with chromium.browser(390, 844, dark=True) as driver:
        translate(driver, address)
        driver.find_elements(By.CSS_SELECTOR, ".line:first-child li:first-child .token")[5].click()
        driver.save_screenshot(str(PICTURES / "narrow.png"))


def translate(driver: Chrome, address: str) -> None:
    """Type the text and wait for the translations."""
    driver.get(address)
    field = driver.find_element(By.ID, "src")
    field.send_keys(TEXT)
    field.send_keys(Keys.CONTROL, Keys.ENTER)
    WebDriverWait(driver, 30).until(lambda _: driver.find_elements(By.CSS_SELECTOR, ".line"))


if __name__ == "__main__":
    main(sys.argv[1])
