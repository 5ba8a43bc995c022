"""Opens the live page in a headless Chromium and says whether it shows what it should; see page.sh.

Speaks chromedriver's JSON protocol itself, so that nothing but Debian's packages is needed.
"""

import base64
import json
import subprocess
import sys
import time
import urllib.request

WIDTH, HEIGHT = 1360, 1000
# What the page must show once it has had some answers, by the id of the element.
SHOWN = {
    "ops": "/s", "lat": "s", "mem": "iB", "keys": "", "conn": "", "busy": "%", "state": "live",
    "heat": "commands", "worst": "Last minutes", "log": "appendfsync", "rdb": "Changes since", "dbs": "db0",
    "hot": "hot:key", "bigk": "big:list", "cmds": "99.9", "slow": "SLEEP", "clients": "127.0.0.1",
}


class Browser:
    def __init__(self, port):
        self.base = f"http://127.0.0.1:{port}"
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                     f"--window-size={WIDTH},{HEIGHT}"]
        options = {"args": arguments, "binary": "/usr/bin/chromium"}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.base += "/session/" + session["sessionId"]

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.base + path, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def run(self, script):
        return self.call("POST", "/execute/sync", {"script": script, "args": []})

    def tool(self, command, **parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})


def wait_for(what, limit, ask):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            found = ask()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(0.1)
    sys.exit(f"waited {limit} s in vain: {what}")


def shoot(browser, scheme, path):
    media = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.tool("Emulation.setEmulatedMedia", features=media)
    height = browser.run("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": height, "scale": 1}
    shot = browser.tool("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
    with open(path, "wb") as file:
        file.write(base64.b64decode(shot["data"]))
    return browser.run("return getComputedStyle(document.body).backgroundColor")


def check(browser, url, folder):
    browser.call("POST", "/url", {"url": url})
    answers = "return Number(document.documentElement.dataset.answers || 0)"
    wait_for("the page has had answers", 60, lambda: 8 <= browser.run(answers))
    wrong = []
    for element, words in SHOWN.items():
        script = f"return document.getElementById('{element}').textContent"
        text = browser.run(script)
        if words not in text or not text:
            wrong.append(f"#{element} lacks {words!r}: {text[:200]!r}")
    lines = browser.run("return document.querySelectorAll('svg.chart path[stroke]').length")
    if lines != 9:
        wrong.append(f"{lines} lines in the charts instead of 9")
    if browser.run("return document.documentElement.scrollWidth") > WIDTH:
        wrong.append("the page is wider than the window")
    elsewhere = browser.run(
        "return performance.getEntriesByType('resource').map(it => it.name)"
        ".filter(name => !name.startsWith(location.origin) && !name.startsWith('data:'))"
    )
    if elsewhere:
        wrong.append(f"asked elsewhere: {elsewhere}")
    backs = {scheme: shoot(browser, scheme, f"{folder}/page-{scheme}.png") for scheme in ("light", "dark")}
    if backs["light"] == backs["dark"]:
        wrong.append("light and dark look alike")
    messages = browser.call("POST", "/se/log", {"type": "browser"})
    wrong += [f"the console says: {message['message']}" for message in messages]
    return wrong


def main(url, folder, port):
    driver = subprocess.Popen(["chromedriver", f"--port={port}", "--silent"])
    try:
        status = lambda: json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/status", timeout=5))
        wait_for("chromedriver is ready", 30, status)
        browser = Browser(port)
        try:
            wrong = check(browser, url, folder)
        finally:
            browser.call("DELETE", "")
    finally:
        driver.terminate()
        driver.wait()
    for line in wrong:
        print(line)
    sys.exit(1 if wrong else 0)


main(sys.argv[1], sys.argv[2], sys.argv[3])
