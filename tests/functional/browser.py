# SPDX-License-Identifier: Apache-2.0
"""A real browser before Horizon, and Magnum's panels as people use them.

Chromium and its driver are Debian's, driven by Selenium. Everything is found
by what a person reads: captions, table cells, the words of a toast.
"""

import contextlib
import os
import pathlib
import shutil

from selenium import webdriver
from selenium.common import exceptions
from selenium.webdriver.common import by
from selenium.webdriver.support import select as select_element

from tests.functional import base

PROGRAMS = ("chromium", "chromedriver")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--window-size=1400,1200",
)
SECONDS = 40
SHOTS = pathlib.Path(os.environ.get("ARTEFACTS", ".artefacts")) / "horizon"
CSS = by.By.CSS_SELECTOR
GONE = (
    exceptions.StaleElementReferenceException,
    exceptions.NoSuchElementException,
    exceptions.ElementNotInteractableException,
    exceptions.ElementClickInterceptedException,
)
"""What a page that is drawing itself answers."""


def missing():
    """Name the programs there are not."""
    return [name for name in PROGRAMS if not shutil.which(name)]


def start(downloads):
    """Start a browser that saves files in a directory without asking."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for switch in SWITCHES:
        options.add_argument(switch)
    options.add_experimental_option(
        "prefs", {"download.default_directory": str(downloads)}
    )
    options.set_capability("goog:loggingPrefs", {"browser": "SEVERE"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


class Horizon:
    """One person's browser."""

    def __init__(self, driver, url):
        self.driver = driver
        self.url = url
        self.shots = 0

    def log_in(self, user, password):
        self.driver.get(f"{self.url}/auth/login/")
        self.driver.find_element(by.By.NAME, "username").send_keys(user)
        self.driver.find_element(by.By.NAME, "password").send_keys(password)
        self.driver.find_element(by.By.ID, "loginBtn").click()
        self.until(lambda: "/auth/login" not in self.driver.current_url)

    def open(self, path):
        self.driver.get(f"{self.url}/{path}")
        self.until(lambda: self.visible("h1, .page-header"))

    def shot(self, name):
        """Keep what the screen shows, for people."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.shots += 1
        path = SHOTS / f"{self.shots:02}-{name}.png"
        self.driver.save_screenshot(str(path))

    def until(self, wanted, seconds=SECONDS, what=""):
        """Return the first true value of a page that changes by itself."""

        def look():
            with contextlib.suppress(*GONE):
                return wanted()

        try:
            return base.until(look, seconds, lambda: what, interval=0.2)
        except AssertionError:
            self.shot("failure")
            raise

    def visible(self, selector, text="", within=None):
        """Return the first visible element with this text in it."""
        for one in (within or self.driver).find_elements(CSS, selector):
            if one.is_displayed() and text in one.text:
                return one
        return None

    def click(self, selector, text="", within=None):
        """Click on what is there, as soon as it can be clicked."""

        def press():
            found = self.visible(selector, text, within)
            if not found or not found.is_enabled():
                return False
            found.click()
            return True

        self.until(press, what=f"no {selector} {text!r} to click")

    def toast(self, text="", shot=""):
        """Return what the next matching message says, and close it."""
        found = self.until(
            lambda: self.visible("toast .alert", text),
            what=f"no message with {text!r}",
        )
        if shot:
            self.shot(shot)
        said = " ".join(found.text.split()).removesuffix("×").strip()
        with contextlib.suppress(*GONE):
            found.find_element(CSS, ".close").click()
        return said

    # Tables

    def row(self, name):
        """Return the texts of a row, None if there is none."""
        # In one step, because the table is drawn again at any moment.
        rows = self.driver.execute_script(
            "return [...document.querySelectorAll('table tbody tr')].map("
            "row => [...row.querySelectorAll('td')].map("
            "cell => cell.innerText.trim()))"
        )
        return next((one for one in rows if name in one), None)

    def act(self, name, action):
        """Choose an action from the menu of a row."""

        def choose():
            row = self._row_element(name)
            menu = row.find_element(CSS, "td.actions_column, td:last-child")
            direct = self.visible("button, a", action, menu)
            if not direct:
                menu.find_element(CSS, ".dropdown-toggle").click()
                direct = self.visible("button, a", action, menu)
            if not direct:
                direct = self.visible(".dropdown-menu a", action)
            direct.click()
            return True

        self.until(choose, what=f"no {action} for {name}")

    def actions(self, name):
        """Return the captions of what can be done with a row."""

        def read():
            row = self._row_element(name)
            found = row.find_elements(CSS, "td:last-child :is(a, button)")
            texts = [one.get_attribute("textContent") for one in found]
            return [" ".join(one.split()) for one in texts if one.strip()]

        return self.until(read, what=f"no actions for {name}")

    def _row_element(self, name):
        for one in self.driver.find_elements(CSS, "table tbody tr"):
            if name in [x.text.strip() for x in one.find_elements(CSS, "td")]:
                return one
        raise exceptions.NoSuchElementException(name)

    # Forms

    def tab(self, title):
        self.click(".modal-content a", title)

    def fill(self, name, text):
        field = self._field(name)
        field.clear()
        field.send_keys(str(text))

    def choose(self, name, text):
        """Select the option with this text."""

        def pick():
            found = select_element.Select(self._field(name))
            for option in found.options:
                if option.text.strip() == text:
                    found.select_by_visible_text(text)
                    return True
            return False

        self.until(pick, what=f"{name} does not offer {text!r}")

    def offered(self, name):
        """Return the texts of a selection."""
        found = select_element.Select(self._field(name))
        return [option.text.strip() for option in found.options]

    def value(self, name):
        """Return what a field of the form says."""
        return self.until(
            lambda: self._field(name).get_attribute("value"),
            what=f"{name} stays empty",
        )

    def facts(self):
        """Return the pairs of term and description on the page."""
        pairs = self.driver.execute_script(
            "return [...document.querySelectorAll('dt')].map("
            "one => [one.innerText.trim(), "
            "one.nextElementSibling?.innerText.trim() ?? ''])"
        )
        return dict(pairs)

    def tick(self, name, wanted=True):
        """Set a checkbox; the themed one is hidden behind its label."""
        box = self.driver.find_element(
            CSS, f".modal-content input[name='{name}']"
        )
        if box.is_selected() != wanted:
            self.driver.execute_script("arguments[0].click()", box)

    def submit(self, caption="Submit"):
        self.click(
            ".modal-content button.btn-primary, "
            ".modal-content button.btn-danger",
            caption,
        )
        self.until(
            lambda: not self.visible(".modal-content"),
            what="the form stays open",
        )

    def _field(self, name):
        return self.until(
            lambda: self.visible(f".modal-content [name='{name}']"),
            what=f"no field {name}",
        )

    def complaints(self):
        """Return the errors of the browser's console since the last call."""
        return [one["message"] for one in self.driver.get_log("browser")]
