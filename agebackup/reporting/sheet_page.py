"""A recovery sheet as one page of HTML, made to be printed on A4 or Letter.

It loads nothing from anywhere and runs no script: the page is the key.
"""

from collections.abc import Sequence
from html import escape
from string import Template

from agebackup.model.keygroups import PREFIX, check_line, groups_of
from agebackup.model.sheet import Sheet
from agebackup.reporting import sheet_words as words
from agebackup.reporting.qr import drawing

_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="robots" content="noindex">
<title>$title</title>
<style>
@page { margin: 12mm; }
body { font: 9.5pt/1.35 sans-serif; color: #000; background: #fff; max-width: 186mm; margin: auto; }
h1 { font-size: 15pt; margin: 0 0 2mm; }
h2 { font-size: 11pt; margin: 3mm 0 1mm; }
p { margin: 0 0 1.5mm; }
.warning { border: 0.6mm solid #000; padding: 1.5mm 2.5mm; font-weight: bold; }
dl { display: grid; grid-template-columns: 28mm 1fr; margin: 0; }
dd { margin: 0; overflow-wrap: anywhere; }
code, pre, .key { font-family: monospace; }
pre { margin: 0; font-size: 8pt; }
.held { display: flex; gap: 5mm; align-items: center; }
.qr { flex: none; }
.qr.small { width: 46mm; }
.qr.large { width: 54mm; }
.key { font-size: 12.5pt; }
.key span { display: inline-block; margin: 0 4mm 1mm 0; white-space: pre; }
.key sub { font: 7pt sans-serif; vertical-align: baseline; margin-right: 1mm; }
.lines { font-size: 7.2pt; line-height: 1.3; }
.systems { display: grid; grid-template-columns: 1fr 1fr; gap: 2mm 5mm; margin-bottom: 2mm; }
</style>
</head>
<body>
<h1>$title</h1>
<p class="warning">$warning</p>
$about
<dl>
$facts
</dl>
<h2>The key</h2>
$key
$typing
<h2>Getting everything back</h2>
<p>Put <code>key.txt</code> and an archive into a new folder, open a terminal there, and type:</p>
<div class="systems">
$commands
</div>
<p>$afterwards</p>
</body>
</html>
""")


def as_page(sheet: Sheet) -> str:
    """Return the page, whole: nothing else belongs to it."""
    return _PAGE.substitute(
        title=escape(words.TITLE),
        warning=escape(words.WARNING),
        about=_paragraphs(words.about(sheet)),
        facts="\n".join(
            f"<dt>{escape(word)}</dt><dd>{escape(said)}</dd>" for word, said in words.facts(sheet)
        ),
        key=_age(sheet.key.text) if sheet.key.kind == "age" else _long(sheet),
        typing=_paragraphs(words.typing(sheet, scannable=True)),
        commands="\n".join(
            f"<div><b>{escape(system)}</b><pre>{escape(chr(10).join(commands))}</pre></div>"
            for system, commands in words.COMMANDS
        ),
        afterwards=escape(words.AFTERWARDS),
    )


def _paragraphs(texts: Sequence[str]) -> str:
    return "\n".join(f"<p>{escape(text)}</p>" for text in texts)


def _age(secret: str) -> str:
    groups = groups_of(secret)
    spans = "\n".join(
        f"<span><sub>{number}</sub>{escape(group)}</span>" for number, group in enumerate(groups, 1)
    )
    return (
        f'<div class="held">{_code(secret, "small")}<div class="key"><span>{PREFIX}</span><br>\n'
        f"{spans}\n<p><small>Check line (not part of the key):</small> "
        f"<span>{escape(check_line(groups))}</span></p></div></div>"
    )


def _long(sheet: Sheet) -> str:
    first, *_, last = sheet.key.text.strip().splitlines()
    rows = [f"   {first}"]
    rows += [f"{number:>2} {line} {code}" for number, (line, code) in enumerate(sheet.key.lines, 1)]
    rows.append(f"   {last}")
    text = escape("\n".join(rows))
    return (
        f'<div class="held">{_code(sheet.key.text, "large")}<pre class="lines">{text}</pre></div>'
    )


def _code(text: str, size: str) -> str:
    return drawing(text).replace('class="qr"', f'class="qr {size}"', 1)
