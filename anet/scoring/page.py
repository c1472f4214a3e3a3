"""The frame of a report: one HTML page that needs nothing else, runs nothing, and escapes what comes from outside."""

import html

from anet.files import printable

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #1c2430; --soft: #5b6675; --line: #e1e5ea;
  --first: #8a95a5; --second: #1769aa; --track: #eceff3; }
@media (prefers-color-scheme: dark) { :root { --page: #12161c; --card: #1a2029; --ink: #e6eaf0; --soft: #9aa6b5;
  --line: #2c3542; --first: #8491a3; --second: #5fb0ee; --track: #262e3a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, Roboto, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 18px; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 40px 0 12px; }
h3, h4 { font-size: 1rem; margin: 0; font-weight: 600; overflow-wrap: anywhere; }
.note { color: var(--soft); font-size: .9rem; margin: 8px 0; overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 14px 24px; margin: 0; }
.facts, .curves figure, .wide, .card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.facts { padding: 16px 18px; }
dt { color: var(--soft); font-size: .82rem; overflow-wrap: anywhere; }
dd { margin: 0; overflow-wrap: anywhere; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 16px; }
.curves figure { margin: 0; padding: 14px 16px; min-width: 0; max-width: 640px; }
svg { display: block; width: 100%; height: auto; margin: 8px 0; }
svg text { fill: var(--soft); font-size: 12.5px; font-variant-numeric: tabular-nums; }
.grid, .tick { stroke: var(--line); }
line.kept { stroke: var(--first); stroke-width: 1.5; stroke-dasharray: 4 4; }
polyline { fill: none; stroke-width: 2.2; stroke-linejoin: round; stroke-linecap: round; }
polyline.first { stroke: var(--first); } polyline.second { stroke: var(--second); }
circle.first { fill: var(--first); } circle.second { fill: var(--second); } circle.hover { fill: transparent; }
i.first { background: var(--first); } i.second { background: var(--second); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: .88rem; color: var(--soft); margin: 0; }
.legend i { display: inline-block; width: .8em; height: .8em; border-radius: 3px; margin-right: .45em; }
.legend i.kept { width: 0; border-left: 2px dashed var(--first); border-radius: 0; vertical-align: -.1em; }
.sticky { position: sticky; top: 0; background: var(--page); padding: 10px 0; z-index: 1; }
.wide { overflow-x: auto; width: fit-content; max-width: 100%; }
table { border-collapse: collapse; min-width: min(100%, 420px); font-variant-numeric: tabular-nums; }
th, td { padding: 9px 16px; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--soft); font-weight: 500; font-size: .88rem; vertical-align: bottom; }
tbody tr:last-child td { border-bottom: 0; }
th.number, td.number { text-align: right; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 500px), 1fr)); gap: 16px; }
.cards + h3 { margin: 32px 0 12px; }
.card { padding: 12px 14px; min-width: 0; }
.card header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 2px 14px; }
.card h4 { flex: 1 1 55%; font-size: .95rem; }
.card b { font-variant-numeric: tabular-nums; font-weight: 600; }
.card label { color: var(--soft); font-size: .85rem; cursor: pointer; white-space: nowrap; }
.card input { accent-color: var(--second); margin: 0 2px 0 0; vertical-align: -1px; }
.bar { height: 4px; border-radius: 2px; background: var(--track); margin: 8px 0 10px; overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--second); }
.views { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 8px; }
.views.four { grid-template-columns: repeat(4, minmax(0, 1fr)); }
.views figure { margin: 0; }
.views img { display: block; width: 100%; height: auto; border-radius: 5px; }
.views figcaption { color: var(--soft); font-size: .8rem; margin-top: 3px; }
.card:has(:checked) { grid-column: 1 / -1; }
@media (max-width: 640px) {
  main { padding: 18px 14px 40px; } h1 { font-size: 1.35rem; }
  .facts { grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)); gap: 10px 16px; padding: 12px 14px; }
  th, td { padding: 8px 12px; } th { white-space: normal; } svg text { font-size: 16px; }
  .views { gap: 5px; } .legend { font-size: .8rem; gap: 2px 12px; }
  .views.four { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  .card:has(:checked) .views { grid-template-columns: 1fr; }
}
@media print {
  :root { color-scheme: light; --page: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --first: #777;
    --second: #1769aa; --track: #ddd; }
  html { font-size: 11px; } body { font-size: 1rem; } main { max-width: none; padding: 0; }
  .card label { display: none; }
  .card, .curves figure, tr { break-inside: avoid; } h2, h3, .legend { break-after: avoid; }
  .sticky { position: static; } .cards { grid-template-columns: 1fr 1fr; gap: 10px; }
  .curves { grid-template-columns: 1fr 1fr; }
  .wide { overflow: visible; } th, td { white-space: normal; padding: 4px 8px; }
  i, .bar { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""


def text(value: object) -> str:
    """Escape anything from outside for HTML: markup, control characters, bad UTF-8."""
    return html.escape(printable(str(value)))


def page(title: str, body: str) -> str:
    """Give a whole HTML page; `body` is HTML already, `title` is not."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{text(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
