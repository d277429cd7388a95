"""Chromium without a screen, told what to do over a pipe (the DevTools protocol): no driver, no library."""

import base64
import contextlib
import json
import os
import select
import subprocess
import time
from pathlib import Path

PATIENCE_S = 60
FLAGS = (
    "--headless=new --remote-debugging-pipe --no-sandbox --disable-gpu --no-first-run --hide-scrollbars "
    "--disable-background-networking --disable-component-update --disable-sync --disable-extensions "
    "--force-color-profile=srgb --disable-dev-shm-usage"
)


class Browser:
    """One tab; what went wrong in it and what it asked for is kept."""

    def __init__(self, folder: Path):
        (their_in, our_out), (our_in, their_out) = os.pipe(), os.pipe()
        command = f"exec chromium {FLAGS} --user-data-dir={folder}/profile 3<&{their_in} 4>&{their_out}"
        with (folder / "chromium.log").open("w") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", "bash", "-c", command],
                stdout=log, stderr=log, pass_fds=(their_in, their_out),
            )
        os.close(their_in)
        os.close(their_out)
        self._out, self._in, self._rest, self._number = our_out, our_in, b"", 0
        self._session: str | None = None
        self.problems: list[str] = []
        self.asked: list[str] = []
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        attached = self.tell("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.tell(f"{domain}.enable")

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._session = None
            self.tell("Browser.close")
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        os.close(self._out)
        os.close(self._in)

    def tell(self, method: str, **parameters):
        """Sends a command and waits for its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answer = self._next(deadline)
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _next(self, deadline: float):
        while b"\0" not in self._rest:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self._in], [], [], left)[0], "Chromium does not answer"
            more = os.read(self._in, 1 << 20)
            assert more, "Chromium has ended"
            self._rest += more
        first, self._rest = self._rest.split(b"\0", 1)
        message = json.loads(first)
        self._note(message.get("method"), message.get("params", {}))
        return message

    def _note(self, event: str | None, said: dict) -> None:
        if event == "Network.requestWillBeSent":
            self.asked.append(said["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.problems.append(str(said["exceptionDetails"].get("exception", said["exceptionDetails"])))
        elif event == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.problems.append(f"{said['entry']['text']} {said['entry'].get('url', '')}")
        elif event == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
            self.problems.append(str(said["args"]))

    def go(self, url: str) -> None:
        self.tell("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str):
        """The value of an expression in the page."""
        answer = self.tell("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, (script, answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait(self, condition: str, patience_s: float = PATIENCE_S):
        """The first true value of an expression in the page."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if value := self.run(condition):
                return value
            time.sleep(0.05)
        text = self.run("document.body.innerText")
        raise AssertionError(f"waited {patience_s} s for {condition}; the page says:\n{text}\n{self.problems}")

    def says(self, text: str) -> None:
        """Waits until the page shows a text."""
        self.wait(f"document.body.innerText.includes({json.dumps(text)})")

    def key(self, key: str, code: int, text: str = "") -> None:
        pressed = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.tell("Input.dispatchKeyEvent", type="keyDown", text=text, **pressed)
        self.tell("Input.dispatchKeyEvent", type="keyUp", **pressed)

    def click(self, selector: str) -> None:
        """Clicks with the mouse in the middle of an element."""
        x, y = self._middle(selector)
        self.drag([(x, y)])

    def _middle(self, selector: str) -> tuple[float, float]:
        script = f"""(() => {{ const it = document.querySelector({json.dumps(selector)}); it.scrollIntoView({{block: "center"}});
            const box = it.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"""
        self.wait(f"!!document.querySelector({json.dumps(selector)})")
        x, y = self.run(script)
        return x, y

    def drag(self, points: list[tuple[float, float]]) -> None:
        """Presses the mouse at the first point and lets go at the last one."""
        [(x, y), *others] = points
        self.tell("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", buttons=1, clickCount=1)
        for x, y in others:
            self.tell("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, button="left", buttons=1)
        self.tell("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, button="left", clickCount=1)

    def choose_file(self, selector: str, file: Path) -> None:
        root = self.tell("DOM.getDocument")["root"]["nodeId"]
        node = self.tell("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.tell("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def look(self, scheme: str, width: int, height: int) -> None:
        """Light or dark, and how large the window is."""
        self.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def screenshot(self, file: Path) -> None:
        picture = self.tell("Page.captureScreenshot", format="png")["data"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(picture))
