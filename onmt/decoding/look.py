"""The look of the toolkit's pages, light and dark: that of tools/visualize.py and that of the servers."""

from typing import Final

LOOK: Final = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --panel: #f5f6f8; --ink: #1c2128; --quiet: #59636e; --line: #d4dae1;
  --accent: 9 105 218; --on-accent: #ffffff; --strong: #0a5bc0; --alarm: #b3261e; --alarm-paper: #fdecea;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181d; --panel: #1d232a; --ink: #e4e8ec; --quiet: #9aa5b1; --line: #353d47;
    --accent: 88 166 255; --on-accent: #0b1016; --strong: #79b8ff; --alarm: #ffb4ab; --alarm-paper: #3b1a18;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; }
main, header { max-width: 80rem; margin: 0 auto; padding: 0 1.25rem; }
h1 { font-size: 1.25rem; line-height: 1.3; margin: 1rem 0; }
h2 { font-size: 1rem; margin: 1.5rem 0 0.25rem; }
.quiet, .source { color: var(--quiet); }
.source { margin: 0 0 0.5rem; overflow-wrap: anywhere; }
.hypotheses { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
.hypothesis { margin: 0; padding: 0.6rem 0.8rem; background: var(--panel); border: 1px solid var(--line);
  border-radius: 8px; min-width: min(20rem, 100%); max-width: 100%; overflow-x: auto; }
/* As wide as the table below, however long the text. */
.caption { display: flex; gap: 0.6rem; align-items: baseline; margin-bottom: 0.4rem;
  width: 0; min-width: 100%; }
.caption .text { overflow-wrap: anywhere; }
.rank { color: var(--quiet); }
.score { color: var(--quiet); font-variant-numeric: tabular-nums; }
table.heat { border-collapse: collapse; font-size: 13px; line-height: 1.2; }
table.heat th { font-weight: normal; padding: 0 5px; }
table.heat th.column { vertical-align: bottom; padding: 0 0 4px; }
table.heat th.column span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 11em;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
table.heat th.row { text-align: right; white-space: nowrap; max-width: 14em; overflow: hidden;
  text-overflow: ellipsis; }
table.heat td { width: 17px; min-width: 17px; height: 17px; padding: 0; border: 1px solid var(--line);
  background: rgb(var(--accent) / var(--w, 0)); }
"""
