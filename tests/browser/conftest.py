"""A browser, and copies of the notebooks for it to open: `make browser`.

The copies lie in a temporary directory with its own home and Jupyter folders, so that neither the tree nor the
settings of whoever runs this change. The browser reaches 127.0.0.1 and nothing else. Screenshots and the logs of the
servers are kept in build/browser/.
"""

import contextlib
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "build" / "browser"
FLAGS = [
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required", "--mute-audio"),
]
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
START_SECONDS = 120
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")  # each of pytest -n 2 has servers of its own


@dataclass(frozen=True)
class Server:
    """A running server: its address, the token it asks for, its log file, and the directory it serves."""

    address: str
    token: str
    log: Path
    directory: Path

    def errors(self):
        """The lines of the log that report an error."""
        marks = ("[E ", "[C ", "ERROR", "CRITICAL", "Traceback")
        return [line for line in self.log.read_text(errors="replace").splitlines() if any(m in line for m in marks)]


@pytest.fixture(scope="session")
def kept():
    """The directory of screenshots and logs."""
    KEPT.mkdir(parents=True, exist_ok=True)
    return KEPT


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window and without a network: the one that CHROMIUM names, or Debian's."""
    chromium = os.environ.get("CHROMIUM") or "/usr/bin/chromium"
    program = shutil.which(chromium)
    if not program:
        pytest.fail(f"no browser at {chromium}: apt-get install chromium, or make browser CHROMIUM=/path/to/chrome")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=[*FLAGS, OFFLINE])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, kept, request):
    """A page; when the test ends, its picture is kept, and what it complained of fails the test."""
    page = browser.new_page(viewport={"width": 1300, "height": 1100})
    page.set_default_timeout(60_000)
    page.complaints = []
    listen(page, page.complaints)
    yield page
    page.screenshot(path=kept / f"{request.node.name}.png")
    page.close()
    assert not page.complaints, "\n".join(page.complaints)


@pytest.fixture
def open_page(browser):
    """open_page(address, **options of the context): a page that is closed, and must not have complained, at the end."""
    contexts, complaints = [], []

    def opened(address, **options):
        usual = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}
        contexts.append(browser.new_context(**(usual | options)))
        page = contexts[-1].new_page()
        listen(page, complaints)
        page.on("requestfailed", lambda asked: left(asked) or complaints.append(f"failed: {asked.url}"))
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def listen(page, complaints):
    """Add what a page complains of to a list."""
    page.on("console", lambda message: message.type == "error" and complaints.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"exception: {error}"))
    page.on("response", lambda answer: answer.status >= 400 and complaints.append(f"{answer.status}: {answer.url}"))
    page.on("request", lambda asked: abroad(asked.url) and complaints.append(f"asks the network for {asked.url}"))


def abroad(url):
    return urlsplit(url).scheme in ("http", "https", "ws", "wss") and urlsplit(url).hostname != "127.0.0.1"


def left(request):
    """Whether the browser itself broke off: it heard enough, left the page, or is told to run no scripts ("csp")."""
    return request.failure == "net::ERR_ABORTED" or (request.failure == "csp" and request.resource_type == "script")


@pytest.fixture(scope="session")
def lab(kept, tmp_path_factory):
    """JupyterLab on copies, started as `make lab` starts it, by somebody who has never used it."""
    home, served = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("lab_copies")
    for name in ("notebooks", "data", "figures", "tools/lab"):
        ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        shutil.copytree(ROOT / name, served / name, ignore=ignore)
    settings = home / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"windowingMode": "none"}')  # all cells are in the page
    with serving([*line_of_make("lab"), "--LabApp.expose_app_in_browser=True"], "ServerApp", home, served, kept) as it:
        yield it


@pytest.fixture(scope="session")
def app(kept, tmp_path_factory):
    """The page of boxes, started as `make app` starts it."""
    with serving(line_of_make("app"), "Voila", tmp_path_factory.mktemp("app"), ROOT, kept) as it:
        yield it


def line_of_make(target):
    """The last line that `make TARGET` would run, as a list."""
    make = ["make", "--no-print-directory", "-n", target, f"BIN={Path(sys.executable).parent}"]
    done = subprocess.run(make, cwd=ROOT, check=True, capture_output=True, text=True)
    return shlex.split(done.stdout.splitlines()[-1])


@contextlib.contextmanager
def serving(command, application, home, directory, kept):
    """`command` on a free port of 127.0.0.1 with a new token, and with `home` for all that it may write."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token, log = secrets.token_hex(16), kept / f"{application}{WORKER}.log"
    server = Server(f"http://127.0.0.1:{port}", token, log, directory)
    identity = "Voila" if application == "Voila" else "IdentityProvider"
    command += ["--no-browser", f"--{application}.ip=127.0.0.1", f"--{application}.port={port}"]
    command += [f"--{application}.port_retries=0", f"--{identity}.token={token}"]
    command += ["--allow-root"] if application == "ServerApp" and os.geteuid() == 0 else []
    folders = {"HOME": home, "JUPYTERLAB_SETTINGS_DIR": home / "settings"}
    folders |= {f"JUPYTER_{name}_DIR": home / name.lower() for name in ("CONFIG", "DATA", "RUNTIME")}
    folders |= {"JUPYTERLAB_WORKSPACES_DIR": home / "workspaces", "IPYTHONDIR": home / "ipython"}
    folders |= {"MPLCONFIGDIR": kept / "matplotlib"}  # its list of fonts is made once
    environment = os.environ | {name: str(path) for name, path in folders.items()}
    for name in ("NMFLIB_FIGURES", "MPLBACKEND"):
        environment.pop(name, None)
    with open(log, "w") as out:
        process = subprocess.Popen(command, env=environment, cwd=directory, stdout=out, stderr=subprocess.STDOUT)
    try:
        limit = time.monotonic() + START_SECONDS
        while not answers(server):
            if process.poll() is not None or time.monotonic() > limit:
                pytest.fail(f"the server did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()


def answers(server):
    try:
        urllib.request.urlopen(f"{server.address}/static/none?token={server.token}", timeout=5)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
