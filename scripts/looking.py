"""Looks at the page of `agebackup report` with a real browser: does it fit, can it be read?

A machine with years of made-up history is reported of. The page is drawn at three widths, light and
dark, and printed; what a script in a copy of it measures decides the exit code.
"""

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import history
import sample_app

WIDTHS = (360, 768, 1280)
SCHEMES = {"light": (), "dark": ("--blink-settings=preferredColorScheme=0",)}
CONTRAST = 4.5
"""The least contrast of text with what is behind it (WCAG 2.1, 1.4.3)."""
BROWSER = (
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--no-first-run"),
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
MEASURE = """
<script>
addEventListener("load", () => {
  for (const one of document.querySelectorAll("details")) one.open = true;
  const numbers = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = one => {
    for (let e = one; e; e = e.parentElement) {
      const colour = numbers(getComputedStyle(e).backgroundColor);
      if (colour.length == 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const wide = [], faint = [];
  let least = 21;
  for (const one of document.body.querySelectorAll("*")) {
    const box = one.getBoundingClientRect(), style = getComputedStyle(one);
    const name = one.tagName + "." + (one.getAttribute("class") || "");
    const scrolled = one.closest(".table") && !one.matches(".table");
    const drawn = box.width > 1 && box.height > 1 && !one.closest("svg title, svg desc");
    if (drawn && !scrolled && (box.right > innerWidth + 0.5 || box.left < -0.5)) wide.push(name);
    const spoken = [...one.childNodes].some(n => n.nodeType == 3 && n.data.trim());
    if (!drawn || !spoken) continue;
    const ink = one.closest("svg") ? style.fill : style.color;
    const pair = [light(numbers(ink)), light(behind(one))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    least = Math.min(least, ratio);
    if (ratio < LEAST) faint.push(name);
  }
  const cut = [...document.querySelectorAll(".table")].filter(t => t.scrollWidth > t.clientWidth);
  parent.postMessage(JSON.stringify({
    width: innerWidth, needed: document.documentElement.scrollWidth, wide: [...new Set(wide)],
    scrolled: cut.map(t => t.getAttribute("aria-label")),
    contrast: Math.round(least * 100) / 100, faint: [...new Set(faint)],
    loaded: performance.getEntriesByType("resource").map(e => e.name)}), "*");
});
</script>
""".replace("LEAST", str(CONTRAST))
FRAME = """
<!DOCTYPE html>
<script>addEventListener("message", e => { document.body.dataset.measured = e.data; });</script>
<iframe src="measured.html" width="WIDTH" height="9000" frameborder="0"></iframe>
"""
"""A window is never narrower than 500 pixels, a frame may be."""


def main() -> int:
    """Look at the page; return 0 where nothing is wrong with it."""
    parser = argparse.ArgumentParser(prog="scripts/look", description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep page, pictures and PDF")
    keep: Path | None = parser.parse_args().keep
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        kept = (keep or folder / "kept").absolute()
        kept.mkdir(parents=True, exist_ok=True)
        page = reported(folder, kept / "report.html")
        wrong = list(looked(page, folder, kept))
    for line in wrong:
        print(line)
    print(f"Pictures: {kept}" if keep else "--keep DIR keeps the pictures.")
    print("WRONG" if wrong else "everything fits, can be read, and nothing was loaded")
    return 1 if wrong else 0


def reported(folder: Path, page: Path) -> Path:
    """Let a machine in `folder` have its history; return the page that tells of it."""
    home = folder / "home"
    home.mkdir()
    env = sample_app.environment(home)
    history.lived(
        history.Machine(
            Path(env["XDG_STATE_HOME"], "agebackup"),
            Path(env["XDG_CONFIG_HOME"], "agebackup/config.toml"),
            folder / "places",
            datetime.now(UTC),
            random.Random(7),
        )
    )
    words = [*sample_app.command(), "report", "-o", str(page), "--overwrite"]
    subprocess.run(words, env=env, check=True)
    return page


def looked(page: Path, folder: Path, kept: Path) -> Iterator[str]:
    """Yield what is wrong with `page`, having put its pictures into `kept`."""
    copy = folder / "measured.html"
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    copy.write_text(text.replace("</body>", f"{MEASURE}</body>"))
    for width in WIDTHS:
        frame = folder / f"{width}.html"
        frame.write_text(FRAME.replace("WIDTH", str(width)))
        for scheme, flags in SCHEMES.items():
            picture = kept / f"{width}-{scheme}.png"
            browsed(page, f"--window-size={width},9000", *flags, f"--screenshot={picture}")
            dumped = browsed(frame, *flags, "--virtual-time-budget=2000", "--dump-dom")
            found = re.search(r'data-measured="([^"]*)"', dumped)
            measured = json.loads(unescape(found[1])) if found else {}
            print(f"{width} {scheme}: {json.dumps(measured)}")
            yield from (f"{width} {scheme}: {one}" for one in faults(measured, width))
    browsed(page, "--no-pdf-header-footer", f"--print-to-pdf={kept / 'printed.pdf'}")


def faults(measured: Mapping[str, Any], width: int) -> Iterator[str]:
    """Yield what `measured` says that should not be."""
    if measured.get("width") != width:
        yield f"it was not drawn at this width: {measured}"
        return
    if measured["needed"] > width or measured["wide"]:
        yield f"it needs {measured['needed']} pixels; too wide: {measured['wide']}"
    if measured["scrolled"]:
        yield f"tables have to be scrolled: {measured['scrolled']}"
    if measured["faint"]:
        yield f"contrast of only {measured['contrast']}: {measured['faint']}"
    if measured["loaded"]:
        yield f"it loaded {measured['loaded']}"


def browsed(page: Path, *flags: str) -> str:
    """Let the browser do with `page` what `flags` say; return what it prints."""
    with tempfile.TemporaryDirectory() as profile:
        words = [*BROWSER, f"--user-data-dir={profile}", *flags, page.as_uri()]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
